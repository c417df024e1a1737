"""Names of Tornado that are private or untyped.

Those of the stream are methods of a subclass.
"""

# pyright: reportPrivateUsage=false

import re
from asyncio import Future
from collections.abc import Awaitable, Callable
from functools import partial
from io import StringIO
from operator import attrgetter
from typing import Any, cast

from tornado import autoreload, escape, gen, httputil, template, util, web
from tornado.ioloop import IOLoop
from tornado.iostream import BaseIOStream
from tornado.routing import PathMatches
from tornado.tcpserver import TCPServer

__all__ = [
    "BaseRouter",
    "BufferedStream",
    "UIModuleNamespace",
    "answer_exception",
    "block_source",
    "close_after_response",
    "connection_callback",
    "convert_yielded",
    "cross_origin_fault",
    "format_timestamp",
    "gzip_file_of",
    "has_header",
    "has_idle_loop",
    "has_modules",
    "header_lists",
    "header_text",
    "regex_of",
    "restart",
    "rewrite_reversed",
    "scheme_of",
    "unquote_to_bytes",
    "watched_files",
    "websocket_mask",
    "wrap_execution",
]

BaseRouter = web._ApplicationRouter
"""The class of the routers of `tornado.web.Application`."""

convert_yielded: Callable[[Any], Awaitable[Any]] = cast(Any, gen).convert_yielded

format_timestamp: Callable[[Any], str] = cast(Any, httputil).format_timestamp
"""Accepts seconds since the epoch, a `datetime`, a `struct_time` or a tuple of one; TypeError for others."""

header_lists: Callable[[httputil.HTTPHeaders], dict[str, list[str]]] = attrgetter("_as_list")
"""Returns the values of each field, by its name in Http-Header-Case: the storage itself, not a copy."""

unquote_to_bytes: Callable[[bytes], bytes] = escape._unquote_to_bytes
"""The standard library's function needs 70 times the memory."""

websocket_mask: Callable[[bytes, bytes], bytes] = util._websocket_mask  # pyright: ignore[reportPrivateImportUsage]

UIModuleNamespace = web._UIModuleNamespace
"""The `modules` of a template: calls a handler's UI modules by name."""


def answer_exception(handler: web.RequestHandler, error: BaseException) -> None:
    """Send Tornado's response to *error*, as for its own handlers."""
    handler._handle_request_exception(error)


def has_modules(handler: web.RequestHandler) -> bool:
    """Return whether UI modules have been rendered for *handler*."""
    return bool(getattr(handler, "_active_modules", None))


def wrap_execution(handler: web.RequestHandler, wrap: Callable[..., Awaitable[None]]) -> None:
    """Make Tornado await `wrap(execute, *args)` for *handler*, in place of `execute(*args)`."""
    cast(Any, handler)._execute = partial(wrap, handler._execute)


def has_header(handler: web.RequestHandler, name: str) -> bool:
    """Return whether the response of *handler* has the header *name*."""
    return name in handler._headers


def close_after_response(connection: Any) -> None:
    """Send `Connection: close` with the next response of a server's *connection*, and close after it."""
    connection._disconnect_on_finish = True


def cross_origin_fault(handler: web.RequestHandler) -> str | None:
    """Return why Tornado's cross-origin protection refuses the request of *handler*, None if it does not."""
    return handler._check_cross_origin(handler.check_trusted_origin)


def header_text(handler: web.RequestHandler, value: Any) -> str:
    """Return *value* as header text, converted by `RequestHandler.set_header`'s rules.

    Raises:
        TypeError: *value* is not text, bytes, an integer or a time.
        ValueError: It contains a control character.
    """
    return handler._convert_header_value(value)


def has_idle_loop() -> bool:
    """Return whether an `IOLoop` exists for a loop that does not run, which probably has work scheduled."""
    return any(not (loop.is_running() or loop.is_closed()) for loop in IOLoop._ioloop_for_asyncio)


def regex_of(matcher: PathMatches) -> re.Pattern[str]:
    """Return the regular expression of *matcher*, typed as one of text."""
    regex: re.Pattern[str] = cast(Any, matcher).regex
    return regex


def rewrite_reversed(matcher: PathMatches, rewrite: Callable[[str], str]) -> None:
    """Apply *rewrite* to the URL to which *matcher* reverses, with `%s` for each group, if it has one."""
    if matcher._path:
        matcher._path = rewrite(matcher._path)


def gzip_file_of(transform: web.GZipContentEncoding) -> Any:
    """Return the file to which *transform* writes, once it has begun."""
    return transform._gzip_file


def watched_files() -> set[str]:
    """Return the files passed to `tornado.autoreload.watch`."""
    return set(autoreload._watched_files)


def restart() -> None:
    """Run the reload hooks of `tornado.autoreload` and restart the program; does not return."""
    autoreload._reload()


def connection_callback(server: TCPServer) -> Callable[..., None]:
    """Return the function that *server* calls with an accepted socket and its address."""
    return server._handle_connection


def scheme_of(context: Any) -> str:
    """Return the scheme of a connection's *context*, before any headers were applied."""
    scheme: str = context._orig_protocol
    return scheme


def block_source(page: template.Template, loader: template.BaseLoader, name: str) -> tuple[str, list[str]]:
    """Return the Python code of the block *name* of *page*, "" if absent, and the names of all blocks."""
    blocks: dict[str, template._NamedBlock] = {}
    ancestors = page._get_ancestors(loader)[::-1]
    for ancestor in ancestors:
        ancestor.find_named_blocks(loader, blocks)
    buffer = StringIO()
    if name in blocks:
        root = ancestors[0].template
        writer = template._CodeWriter(buffer, blocks, loader, root)
        template._File(root, template._ChunkList([blocks[name]])).generate(writer)
    return buffer.getvalue(), sorted(blocks)


class BufferedStream(BaseIOStream):
    """A stream that gets its bytes from another source than a socket."""

    _read_buffer_size: int
    _read_future: Future[Any] | None

    @property
    def is_awaited(self) -> bool:
        """Whether a read is waiting for bytes."""
        return self._read_future is not None

    @property
    def is_filling(self) -> bool:
        """Whether a `read_into` is waiting, whose buffer belongs to the caller."""
        return self._user_read_buffer

    @property
    def is_quiet(self) -> bool:
        """Whether the stream is open, with no read or write in progress and an empty buffer."""
        return not (self._read_future or self._write_futures or self._closed or self._read_buffer)

    def read_now(self) -> None:
        """Continue the waiting read with the available bytes."""
        self._handle_read()
