"""The session's cookie as it stands in headers.

Begin with `SessionCookie`.
"""

from torngas_aio.session.config import SessionConfig

__all__ = ["SessionCookie"]


class SessionCookie:
    """Finds the cookie that *config* names among a browser's, and writes it."""

    def __init__(self, config: SessionConfig) -> None:
        self._opening = f"{config.session_name}="
        parts = [f"Path={config.cookie_path or '/'}"]
        parts += [f"Domain={config.cookie_domain}"] if config.cookie_domain else []
        parts += [f"SameSite={config.samesite}"] if config.samesite else []
        flags = {"HttpOnly": config.httponly, "Secure": config.secure, "Partitioned": config.partitioned}
        self._attributes = "; ".join([*parts, *(flag for flag, is_on in flags.items() if is_on)])

    def find(self, header: str) -> list[str]:
        """Return the values that *header*, a Cookie header, gives it: several where paths or domains overlap."""
        opening = self._opening
        if opening not in header:
            return []
        parts = (part.strip(" \t") for part in header.split(";"))
        return [part[len(opening) :].strip('"') for part in parts if part.startswith(opening)]

    def line(self, value: str, life: int) -> str:
        """Return the Set-Cookie header that gives the browser *value* for *life* seconds, 0: until it closes."""
        lasting = f"; Max-Age={life}" if life else ""
        return f"{self._opening}{value}; {self._attributes}{lasting}"

    @property
    def taken_back(self) -> str:
        """The Set-Cookie header that makes the browser forget the cookie."""
        return f"{self._opening}; {self._attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
