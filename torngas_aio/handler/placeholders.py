"""Placeholders for the session and the flash messages of `BaseHandler` in a project that has not set them up.

Using one raises an error that explains what is missing.
"""

from typing import Any

from torngas_aio.exception import CacheUnavailable

__all__ = ["FlashPart", "SessionPart"]


class SessionPart:
    """A class attribute that is used if SessionMiddleware has not set one on the handler; raises an explanation."""

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
    """A class attribute that returns the method of `FlashMessageMixIn`, if that is a base; otherwise it raises."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handler: Any, owner: type) -> Any:
        for base in owner.__mro__:  # the mixin may come after the handler in the bases
            found = vars(base).get(self._name, self)
            if found is not self:
                return found.__get__(handler, owner)
        if handler is None:
            return self
        raise AttributeError(
            f"{owner.__qualname__}.{self._name}: there are no flash messages. Derive the class from "
            "'torngas_aio.mixins.flash_message.FlashMessageMixIn' as well, before its handler class."
        )
