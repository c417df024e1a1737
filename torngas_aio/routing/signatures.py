"""Checks that a handler's methods accept the arguments from their route's pattern.

(r"/post/(\\d+)", Post)      async def get(self)           can never work: a fault
(r"/posts", Post)           get(self), put(self, key)     PUT can never work here: a warning
"""

import inspect
from collections.abc import Callable, Iterable, Iterator

import tornado
from tornado.routing import PathMatches
from tornado.web import RequestHandler
from tornado.websocket import WebSocketHandler

from torngas_aio._compat.tornado import regex_of
from torngas_aio._project_errors import PACKAGE, shortened
from torngas_aio.exception import Fault
from torngas_aio.routing.route import Route

__all__ = ["signature_findings"]

_KNOWN_WRAPPERS = (PACKAGE, str(tornado.__path__[0]))


def signature_findings(routes: Iterable[Route]) -> tuple[list[str], list[str]]:
    """Return faults, for routes none of whose methods accepts its pattern's groups, and warnings for other mismatches.

    Under another decorator the wrapper's own signature counts, because it may pass other arguments; decorators of
    Tornado and of this package are unwrapped.
    """
    faults: list[str] = []
    cautions: list[str] = []
    for route in routes:
        methods = dict(_methods_of(route.handler_class))
        misfits = [_sentence(route, verb, method) for verb, method in methods.items() if not _fits(route, method)]
        (faults if len(misfits) == len(methods) else cautions).extend(misfits)
    return list(Fault.each(faults, "TGA204")), cautions


def _methods_of(handler_class: type[RequestHandler]) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the implemented methods that a request to *handler_class* calls with the groups."""
    if issubclass(handler_class, WebSocketHandler):
        yield "open", handler_class.open
        return
    for name in handler_class.SUPPORTED_METHODS:
        method = getattr(handler_class, name.lower(), None)
        if callable(method) and method is not getattr(RequestHandler, name.lower(), None):
            yield name.lower(), method


def _fits(route: Route, method: Callable[..., object]) -> bool:
    matcher = route.rule.matcher
    if not isinstance(matcher, PathMatches):
        return True
    regex = regex_of(matcher)
    try:
        signature = _signature_of(method)
    except (TypeError, ValueError):  # a callable without a known signature
        return True
    try:
        if regex.groupindex:
            signature.bind(None, **dict.fromkeys(regex.groupindex, b""))
        else:
            signature.bind(None, *[b""] * regex.groups)
    except TypeError:
        return False
    return True


def _signature_of(method: Callable[..., object]) -> inspect.Signature:
    def is_unknown(function: object) -> bool:
        code = getattr(function, "__code__", None)
        return code is None or not code.co_filename.startswith(_KNOWN_WRAPPERS)

    return inspect.signature(inspect.unwrap(method, stop=is_unknown), follow_wrapped=False)


def _sentence(route: Route, verb: str, method: Callable[..., object]) -> str:
    place = getattr(route.rule, "place", "")
    code = getattr(inspect.unwrap(method), "__code__", None)
    where = f" ({shortened(f'{code.co_filename}:{code.co_firstlineno}')})" if code is not None else ""
    owner = f"{route.handler_class.__module__}.{route.handler_class.__qualname__}"
    return (
        f"{place + ': ' if place else ''}{route.pattern!r} gives {_given(route)}, which {owner}.{verb}"
        f"{_signature_of(method)}{where} does not accept. Give the method a parameter for each group, or write a group "
        "that is not an argument as `(?:...)`."
    )


def _given(route: Route) -> str:
    assert isinstance(route.rule.matcher, PathMatches)
    regex = regex_of(route.rule.matcher)
    if regex.groupindex:
        return f"the arguments {', '.join(regex.groupindex)}"
    return f"{regex.groups or 'no'} argument{'' if regex.groups == 1 else 's'}"
