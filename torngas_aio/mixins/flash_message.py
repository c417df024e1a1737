"""Flash messages: set in one request, shown once in the next one, or later in the same one.

They are stored in one signed cookie of bounded size.
"""

import json
import logging
from typing import TYPE_CHECKING, Any

from torngas_aio.exception import ArgumentError

__all__ = ["COOKIE_NAME", "MAX_COOKIE_BYTES", "FlashMessageMixIn"]

logger = logging.getLogger("torngas_aio.flash")

COOKIE_NAME = "_torngas_flash"

MAX_COOKIE_BYTES = 3800
"""Size limit, above which the oldest messages are dropped: browsers reject cookies above 4,096 bytes in all."""

if TYPE_CHECKING:
    from tornado.web import RequestHandler as _Base
else:
    _Base = object

Message = tuple[str, str]


class FlashMessageMixIn(_Base):
    """A mix-in, listed before `WebHandler`: `class Login(FlashMessageMixIn, WebHandler)`. Needs a `cookie_secret`."""

    _flash_said: list[Message] | None = None  # messages to show; None: the cookie was not read yet

    def flash(self, message: object, category: str = "message") -> None:
        """Store *message*, converted to str, for the next page that shows messages.

        Raises:
            ArgumentError: The message alone exceeds the size of the cookie.
        """
        text = str(message)
        waiting = [*self._waiting(), (category, text)]
        if len(self._signed(waiting[-1:])) > MAX_COOKIE_BYTES:
            raise ArgumentError(
                f"A flash message of {len(text)} characters does not fit into a cookie of {MAX_COOKIE_BYTES} bytes. "
                "Say it shorter, or keep the text in the session."
            )
        while len(self._signed(waiting)) > MAX_COOKIE_BYTES:
            dropped = waiting.pop(0)
            logger.warning("A flash message was left out for newer ones: %r", dropped)
        self._keep(waiting)

    def get_flashed_messages(self, with_categories: bool = True, category_filter: Any = ()) -> list[Any]:
        """Return the stored messages, oldest first, and remove them.

        Args:
            with_categories: Return (category, message) pairs; else the messages alone.
            category_filter: Categories to return; messages of others are removed as well.
        """
        waiting = self._waiting()
        if waiting:
            self._keep([])
        chosen = [pair for pair in waiting if not category_filter or pair[0] in category_filter]
        return list(chosen) if with_categories else [message for _, message in chosen]

    def messages(self) -> list[Message]:
        """Return the stored messages as (category, message) pairs, oldest first, without removing them."""
        return list(self._waiting())

    def _waiting(self) -> list[Message]:
        if self._flash_said is None:
            self._flash_said = _parsed(self.get_signed_cookie(COOKIE_NAME))
        return self._flash_said

    def _keep(self, waiting: list[Message]) -> None:
        if self._headers_written:
            raise RuntimeError("Flash messages serve in a cookie, and the response's header has left already.")
        self._flash_said = waiting
        is_secure = self.request.protocol == "https"
        if waiting:
            self.set_cookie(  # pyright: ignore[reportUnknownMemberType]  # a bare tuple in Tornado
                COOKIE_NAME, self._signed(waiting), expires_days=None, httponly=True, samesite="Lax", secure=is_secure
            )
        elif self.get_cookie(COOKIE_NAME) is not None:
            self.clear_cookie(COOKIE_NAME)
        else:
            jar: dict[str, object] = getattr(self, "_new_cookie", None) or {}
            jar.pop(COOKIE_NAME, None)

    def _signed(self, waiting: list[Message]) -> bytes:
        return self.create_signed_value(COOKIE_NAME, json.dumps(waiting, ensure_ascii=False, separators=(",", ":")))


def _parsed(value: bytes | None) -> list[Message]:
    if value is None:
        return []
    try:
        return [(str(category), str(message)) for category, message in json.loads(value)]
    except (ValueError, TypeError):  # signed by us, so an older format: ignore it
        return []
