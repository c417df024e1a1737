"""Restriction of handlers to listed addresses; other clients get 403.

    @whitelisted                        settings.WHITELIST
    @whitelisted("10.0.0.0/8", "::1")   these
    @whitelisted(["10.0.0.0/8"])        these, as in torngas 1.8

Decorates a method, plain or async, or a handler class: then `prepare` and all methods are guarded, also those of
subclasses. The address is `request.remote_ip`, which behind TRUSTED_PROXIES is the forwarded one.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from tornado.web import RequestHandler

from torngas_aio.exception import ArgumentError, HttpForbiddenError
from torngas_aio.settings_manager import settings
from torngas_aio.utils.hosts import Networks
from torngas_aio.utils.narrowing import is_iterable

__all__ = ["whitelisted"]

_Check = Callable[[Any], None]


def whitelisted(*argument: object) -> Any:
    """Guard the decorated method or handler class.

    Args:
        argument: Addresses and networks, one by one or in one list; default: `settings.WHITELIST`, read at each
            request, where False or an empty list refuses all clients.

    Raises:
        ConfigError: An argument is neither an address nor a network.
        ArgumentError: The decorated object is neither a method nor a handler class.
    """
    if len(argument) == 1 and callable(argument[0]):
        return _guarded(argument[0], _check_settings)
    if not argument:
        return functools.partial(_guarded, check=_check_settings)
    networks = Networks(_entries(argument))
    return functools.partial(_guarded, check=functools.partial(_check, networks=networks))


def _guarded(target: object, check: _Check) -> object:
    if isinstance(target, type):
        if not issubclass(target, RequestHandler):
            raise ArgumentError(f"@whitelisted stands above a handler's method or class, not {target!r}.")
        return _guard_class(target, check)
    if not callable(target):
        raise ArgumentError(f"@whitelisted stands above a handler's method or class, not {target!r}.")
    return _guard_method(target, check)


def _guard_method(method: Callable[..., object], check: _Check) -> Callable[..., object]:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def guarded_async(handler: RequestHandler, *args: object, **kwargs: object) -> object:
            check(handler)
            return await method(handler, *args, **kwargs)

        return guarded_async

    @functools.wraps(method)
    def guarded(handler: RequestHandler, *args: object, **kwargs: object) -> object:
        check(handler)
        return method(handler, *args, **kwargs)

    return guarded


def _guard_class(cls: type[RequestHandler], check: _Check) -> type[RequestHandler]:
    names = ["prepare", *(name.lower() for name in cls.SUPPORTED_METHODS)]
    for name in names:
        method = getattr(cls, name, None)
        if method is not None:
            setattr(cls, name, _guard_method(method, check))

    own_hook = vars(cls).get("__init_subclass__")

    def guard_subclass(subclass: type[RequestHandler], /, **kwargs: object) -> None:
        # Otherwise the methods that a subclass defines would not be guarded.
        if own_hook is None:
            super(cls, subclass).__init_subclass__(**kwargs)
        else:
            own_hook.__get__(None, subclass)(**kwargs)
        for name in names:
            if name in vars(subclass):
                setattr(subclass, name, _guard_method(vars(subclass)[name], check))

    cls.__init_subclass__ = classmethod(guard_subclass)  # type: ignore[assignment]  # as a class statement would
    return cls


def _check_settings(handler: RequestHandler) -> None:
    _check(handler, _networks(_entries((settings.WHITELIST or (),))))


def _check(handler: RequestHandler, networks: Networks) -> None:
    address = handler.request.remote_ip
    if address not in networks:
        refusal = HttpForbiddenError("%s is not on the whitelist of %s", address, type(handler).__name__)
        refusal.shows_text = False
        raise refusal


@functools.lru_cache(maxsize=32)
def _networks(entries: tuple[str, ...]) -> Networks:
    return Networks(entries)


def _entries(argument: tuple[object, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for each in argument:
        if isinstance(each, str):
            found.append(each)
        elif is_iterable(each):
            found.extend(map(str, each))
        else:
            raise ArgumentError(f"@whitelisted takes addresses and networks as text, not {each!r}.")
    return tuple(found)
