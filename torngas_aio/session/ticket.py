"""What the visitor's cookie says: a random id, signed; for lasting sessions also their life.

    browser session     id.signature
    lasting session     id.life.issued.signature

Nothing that was not signed with this secret and session_version reaches the store. The life lets the store
extend a session while it reads it. Begin with `TicketOffice`.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from torngas_aio.utils.numbers import parse_whole

__all__ = ["ID_LENGTH", "Ticket", "TicketOffice", "new_id"]

ID_LENGTH = 24
"""Characters of an id: 144 random bits."""

_SIGNATURE_LENGTH = 22  # 128 bits
_REMEMBERED = 4096  # cookies whose signature was found good, so that it is not computed again
_LONGEST = ID_LENGTH + _SIGNATURE_LENGTH + 2 * 13 + 1


def new_id() -> str:
    """Return a fresh session id."""
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a valid cookie says.

    Attributes:
        life: Idle seconds; 0 for a browser session.
        issued: When the cookie was sent, in seconds since the epoch; 0 for a browser session.
    """

    session_id: str
    life: int = 0
    issued: int = 0


class TicketOffice:
    """Writes and checks cookies.

    Args:
        secret_key: Whoever knows it can forge sessions.
        version: Another version makes every cookie invalid.
    """

    def __init__(self, secret_key: str, version: str) -> None:
        purpose = f"torngas_aio.session\0{version}".encode()
        self._key = hmac.digest(secret_key.encode("utf-8", "surrogatepass"), purpose, "sha256")
        self._found_good: dict[str, Ticket] = {}

    def write(self, ticket: Ticket) -> str:
        """Return the cookie value of *ticket*."""
        text = ticket.session_id
        if ticket.life:
            text = f"{text}.{ticket.life}.{ticket.issued}"
        return f"{text}.{self._signature(text)}"

    def read(self, value: str) -> Ticket | None:
        """Return what *value* says, None unless this office wrote it, for the same version."""
        known = self._found_good.get(value)
        if known is not None:  # PERF: a browser sends the same cookie with each request: -4 us
            return known
        ticket = self._checked(value)
        if ticket is not None:
            if len(self._found_good) >= _REMEMBERED:
                self._found_good.clear()
            self._found_good[value] = ticket
        return ticket

    def _checked(self, value: str) -> Ticket | None:
        if len(value) > _LONGEST or not value.isascii():
            return None
        text, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(text)):
            return None
        session_id, *times = text.split(".")
        if not times:
            return Ticket(session_id)
        life, issued = map(parse_whole, times)
        return None if life is None or issued is None else Ticket(session_id, life, issued)

    def _signature(self, text: str) -> str:
        digest = hmac.digest(self._key, text.encode(), "sha256")
        return urlsafe_b64encode(digest[:16])[:_SIGNATURE_LENGTH].decode()
