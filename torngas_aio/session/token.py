"""The session cookie: a signed random id; for persistent sessions also their lifetime.

    browser session       id.signature
    persistent session    id.life.issued.signature

Only ids signed with this secret and session_version reach the store. The life in the cookie lets the store extend a
session in the same round trip that reads it.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from torngas_aio.session.config import SessionConfig
from torngas_aio.utils.numbers import parse_whole

__all__ = ["ID_LENGTH", "SessionCookie", "Token", "TokenSigner", "new_id"]


class SessionCookie:
    """The session cookie of *config*: parsed from Cookie headers and formatted for Set-Cookie headers."""

    def __init__(self, config: SessionConfig) -> None:
        self._opening = f"{config.session_name}="
        parts = [f"Path={config.cookie_path or '/'}"]
        parts += [f"Domain={config.cookie_domain}"] if config.cookie_domain else []
        parts += [f"SameSite={config.samesite}"] if config.samesite else []
        flags = {"HttpOnly": config.httponly, "Secure": config.secure, "Partitioned": config.partitioned}
        self._attributes = "; ".join([*parts, *(flag for flag, is_on in flags.items() if is_on)])

    def find(self, header: str) -> list[str]:
        """Return the cookie's values in *header*, a Cookie header; there are several if paths or domains overlap."""
        opening = self._opening
        if opening not in header:
            return []
        parts = (part.strip(" \t") for part in header.split(";"))
        return [part[len(opening) :].strip('"') for part in parts if part.startswith(opening)]

    def line(self, value: str, life: int) -> str:
        """Return the Set-Cookie header for *value* with a lifetime of *life* seconds; 0: until the browser closes."""
        lasting = f"; Max-Age={life}" if life else ""
        return f"{self._opening}{value}; {self._attributes}{lasting}"

    @property
    def taken_back(self) -> str:
        """The Set-Cookie header that deletes the cookie."""
        return f"{self._opening}; {self._attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"


ID_LENGTH = 24
"""Length of an id in characters: 144 random bits."""

_SIGNATURE_LENGTH = 22  # 128 bits
_REMEMBERED = 4096  # cached cookies with a valid signature, which is then not computed again
_LONGEST = ID_LENGTH + _SIGNATURE_LENGTH + 2 * 13 + 1


def new_id() -> str:
    """Return a new random session id."""
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Token:
    """The content of a valid cookie.

    Attributes:
        life: Idle timeout in seconds; 0 for a browser session.
        issued: When the cookie was sent, in seconds since the epoch; 0 for a browser session.
    """

    session_id: str
    life: int = 0
    issued: int = 0


class TokenSigner:
    """A signer and verifier of cookie values.

    Args:
        secret_key: The signing secret; with it, sessions can be forged.
        version: Part of the signature; changing it invalidates every cookie.
    """

    def __init__(self, secret_key: str, version: str) -> None:
        purpose = f"torngas_aio.session\0{version}".encode()
        self._key = hmac.digest(secret_key.encode("utf-8", "surrogatepass"), purpose, "sha256")
        self._found_good: dict[str, Token] = {}

    def write(self, token: Token) -> str:
        """Return the cookie value of *token*."""
        text = token.session_id
        if token.life:
            text = f"{text}.{token.life}.{token.issued}"
        return f"{text}.{self._signature(text)}"

    def read(self, value: str) -> Token | None:
        """Return the token in *value*, None unless it was signed with this secret and version."""
        known = self._found_good.get(value)
        if known is not None:  # PERF: browsers send the same cookie with every request: -4 us
            return known
        token = self._check_value(value)
        if token is not None:
            if len(self._found_good) >= _REMEMBERED:
                self._found_good.clear()
            self._found_good[value] = token
        return token

    def _check_value(self, value: str) -> Token | None:
        if len(value) > _LONGEST or not value.isascii():
            return None
        text, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(text)):
            return None
        session_id, *times = text.split(".")
        if not times:
            return Token(session_id)
        life, issued = map(parse_whole, times)
        return None if life is None or issued is None else Token(session_id, life, issued)

    def _signature(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return urlsafe_b64encode(digest[:16])[:_SIGNATURE_LENGTH].decode()
