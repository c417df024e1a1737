"""Stand-ins for the session and the flash messages of `BaseHandler` where a project has not set them up.

Using one raises, and says what is missing.
"""

from typing import Any

from torngas_aio.exception import CacheUnavailable

__all__ = ["FlashPart", "SessionPart"]


class SessionPart:
    """Stands on the class where SessionMiddleware has set nothing on the handler, and says why."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handler: Any, owner: type) -> Any:
        if handler is None:
            return self
        error = handler._session_error
        if error is not None:
            raise CacheUnavailable(str(error)) from error
        if not handler.uses_session:
            raise AttributeError(f"{owner.__qualname__}.{self._name}: the handler says `uses_session = False`.")
        raise AttributeError(
            f"{owner.__qualname__}.{self._name}: there is no session. Add "
            "'torngas_aio.middleware.session.SessionMiddleware' to MIDDLEWARE_CLASSES."
        )


class FlashPart:
    """Stands on the class where `FlashMessageMixIn` is not a base of it, and says so; else finds the mixin's method."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handler: Any, owner: type) -> Any:
        for base in owner.__mro__:  # the mixin may stand behind the handler
            found = vars(base).get(self._name, self)
            if found is not self:
                return found.__get__(handler, owner)
        if handler is None:
            return self
        raise AttributeError(
            f"{owner.__qualname__}.{self._name}: there are no flash messages. Derive the class from "
            "'torngas_aio.mixins.flash_message.FlashMessageMixIn' as well, before its handler class."
        )
