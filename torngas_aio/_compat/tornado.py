"""What Tornado keeps under private names, or does not type, and torngas_aio cannot do without.

The stream's are methods of a subclass.
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
"""What `tornado.web.Application` makes its routers of."""

convert_yielded: Callable[[Any], Awaitable[Any]] = cast(Any, gen).convert_yielded

format_timestamp: Callable[[Any], str] = cast(Any, httputil).format_timestamp
"""Takes seconds since the epoch, a `datetime`, a `struct_time` or a tuple of such; others are a TypeError."""

header_lists: Callable[[httputil.HTTPHeaders], dict[str, list[str]]] = attrgetter("_as_list")
"""Gives the values of each field, by its name in Http-Header-Case: the storage itself."""

unquote_to_bytes: Callable[[bytes], bytes] = escape._unquote_to_bytes
"""The standard library's takes 70 times the memory."""

websocket_mask: Callable[[bytes, bytes], bytes] = util._websocket_mask  # pyright: ignore[reportPrivateImportUsage]

UIModuleNamespace = web._UIModuleNamespace
"""The `modules` of a template: calls the UI modules of a handler by name."""


def answer_exception(handler: web.RequestHandler, error: BaseException) -> None:
    """Have *handler* answer *error* as Tornado does for its own handlers."""
    handler._handle_request_exception(error)


def has_modules(handler: web.RequestHandler) -> bool:
    """Return whether UI modules have been rendered for *handler*."""
    return bool(getattr(handler, "_active_modules", None))


def wrap_execution(handler: web.RequestHandler, wrap: Callable[..., Awaitable[None]]) -> None:
    """Have `wrap(execute, *args)` run the methods of *handler*, where Tornado would await `execute(*args)`."""
    cast(Any, handler)._execute = partial(wrap, handler._execute)


def has_header(handler: web.RequestHandler, name: str) -> bool:
    """Return whether the response of *handler* has a header *name*."""
    return name in handler._headers


def close_after_response(connection: Any) -> None:
    """Have the next response of *connection*, a server's, say `Connection: close`, and close after it."""
    connection._disconnect_on_finish = True


def cross_origin_fault(handler: web.RequestHandler) -> str | None:
    """Return why Tornado's cross-origin protection refuses the request of *handler*, None where it does not."""
    return handler._check_cross_origin(handler.check_trusted_origin)


def header_text(handler: web.RequestHandler, value: Any) -> str:
    """Return *value* as the text of a header, as `RequestHandler.set_header` makes it.

    Raises:
        TypeError: *value* is no text, bytes, integer or time.
        ValueError: It holds a control character.
    """
    return handler._convert_header_value(value)


def has_idle_loop() -> bool:
    """Return whether an `IOLoop` was made for a loop that does not run: work was given to it, most likely."""
    return any(not (loop.is_running() or loop.is_closed()) for loop in IOLoop._ioloop_for_asyncio)


def regex_of(matcher: PathMatches) -> re.Pattern[str]:
    """Return the regular expression of *matcher*; Tornado's type does not say that it is one of text."""
    regex: re.Pattern[str] = cast(Any, matcher).regex
    return regex


def rewrite_reversed(matcher: PathMatches, rewrite: Callable[[str], str]) -> None:
    """Have *matcher* reverse to what *rewrite* makes of its address with `%s` for each group, if it has one."""
    if matcher._path:
        matcher._path = rewrite(matcher._path)


def gzip_file_of(transform: web.GZipContentEncoding) -> Any:
    """Return the file that *transform*, which has begun, writes to."""
    return transform._gzip_file


def watched_files() -> set[str]:
    """Return the files that `tornado.autoreload.watch` was given."""
    return set(autoreload._watched_files)


def restart() -> None:
    """Run the reload hooks of `tornado.autoreload` and start the program again; does not return."""
    autoreload._reload()


def connection_callback(server: TCPServer) -> Callable[..., None]:
    """Return what *server* calls with an accepted socket and its address."""
    return server._handle_connection


def scheme_of(context: Any) -> str:
    """Return the scheme of a connection's *context*, whatever its headers have made of it."""
    scheme: str = context._orig_protocol
    return scheme


def block_source(page: template.Template, loader: template.BaseLoader, name: str) -> tuple[str, list[str]]:
    """Return the Python of the block *name* of *page*, "" where there is none, and the names of all blocks."""
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
    """A stream whose bytes come from elsewhere than a socket."""

    _read_buffer_size: int
    _read_future: Future[Any] | None

    @property
    def is_awaited(self) -> bool:
        """Whether a read waits for bytes."""
        return self._read_future is not None

    @property
    def is_filling(self) -> bool:
        """Whether a `read_into` waits, whose buffer belongs to the caller."""
        return self._user_read_buffer

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is read, written or left in the buffer, and the stream is open."""
        return not (self._read_future or self._write_futures or self._closed or self._read_buffer)

    def read_now(self) -> None:
        """Have the waiting read look for bytes."""
        self._handle_read()
