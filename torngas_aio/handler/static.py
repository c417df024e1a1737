"""`StaticFileHandler`: Tornado's, under the pipeline, with every touch of the disk in a worker thread.

Begin with `StaticFileHandler.get`.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar

import anyio.to_thread
from tornado.iostream import StreamClosedError
from tornado.web import StaticFileHandler as _TornadoStaticFileHandler

from torngas_aio.handler.web import WebHandler
from torngas_aio.utils.numbers import parse_whole

__all__ = ["StaticFileHandler"]


_MOST_VERSIONS = 10_000


class StaticFileHandler(WebHandler, _TornadoStaticFileHandler):
    """Serves files of one directory: ranges, `If-None-Match`, `If-Modified-Since`, never outside its root.

    Takes the route keywords of Tornado's: `path`, `default_filename`, `allowed_symlink_directory`.
    """

    _versions: ClassVar[dict[tuple[str, str], str]] = {}

    async def get(self, path: str, include_body: bool = True) -> None:
        """Answer with the file *path*, or the part of it that the request asks for."""
        content, redirection = await anyio.to_thread.run_sync(self._decide, path, include_body)
        if redirection is not None:
            redirection()
            return
        try:
            while (chunk := await anyio.to_thread.run_sync(next, content, None)) is not None:
                self.write(chunk)
                if len(chunk) != int(self.header_fields().get("Content-Length", -1)):
                    await self.flush()
        except StreamClosedError:
            return

    @classmethod
    def get_version(cls, settings: dict[str, Any], path: str) -> str | None:
        """Return the version that `static_url` adds to *path*: a hash of the file, read once unless `debug` is on.

        The first call for a file reads it, where the caller is; warm it up in a thread where that matters.
        """
        if settings.get("debug"):
            return super().get_version(settings, path)
        key = (settings["static_path"], path)
        version = cls._versions.get(key)
        if version is None:
            version = super().get_version(settings, path)
            if version is not None and len(cls._versions) < _MOST_VERSIONS:
                cls._versions[key] = version
        return version

    @classmethod
    def reset(cls) -> None:
        super().reset()
        cls._versions.clear()

    def compute_etag(self) -> str | None:
        return _TornadoStaticFileHandler.compute_etag(self)

    def _decide(self, path: str, include_body: bool) -> tuple[Iterator[bytes], Callable[[], Any] | None]:
        """Let Tornado's `get` decide on status and headers, in this thread; the file is read afterwards."""
        if not _is_range(self.request.headers.get("Range", "")):
            del self.request.headers["Range"]  # SPEC: RFC 9110 14.2: it may be ignored
        wanted: list[tuple[Any, ...]] = []
        redirections: list[Callable[[], Any]] = []

        def remember_content(*span: Any) -> tuple[()]:
            wanted.append(span)
            return ()

        def remember_redirect(*args: Any, **kwargs: Any) -> None:
            redirections.append(lambda: self.redirect(*args, **kwargs))

        self.__dict__.update(get_content=remember_content, redirect=remember_redirect)
        try:
            _run(_TornadoStaticFileHandler.get(self, path, include_body))
        finally:
            del self.__dict__["get_content"], self.__dict__["redirect"]
        return _parts(self, wanted), redirections[0] if redirections else None


def _is_range(header: str) -> bool:
    """Whether *header* is absent or one range of bytes; Tornado would also take signs, underscores, other digits."""
    unit, _, text = header.partition("=")
    first, _, last = text.partition("-")
    ends = [parse_whole(end) for end in (first, last) if end]
    return not header or (unit == "bytes" and "-" in text and bool(ends) and None not in ends)


def _parts(handler: StaticFileHandler, wanted: list[tuple[Any, ...]]) -> Iterator[bytes]:
    for span in wanted:
        content: Any = handler.get_content(*span)
        yield from (content,) if isinstance(content, bytes) else content


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("A static file handler's get() must not wait before its content is read.")
