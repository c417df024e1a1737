"""`StaticFileHandler`: Tornado's, under the pipeline, with every touch of the disk in a worker thread.

Begin with `StaticFileHandler.get`.
"""

import os
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, ClassVar

import anyio.to_thread
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.web import StaticFileHandler as _TornadoStaticFileHandler

from torngas_aio.handler.web import WebHandler
from torngas_aio.utils.numbers import parse_whole

__all__ = ["StaticFileHandler"]


_MOST_VERSIONS = 10_000


class StaticFileHandler(WebHandler, _TornadoStaticFileHandler):
    """Serves files of one directory: ranges, `If-None-Match`, `If-Modified-Since`, never outside its root.

    Takes the route keywords of Tornado's: `path`, `default_filename`, `allowed_symlink_directory`.
    """

    _paths: ClassVar[dict[tuple[str, str], str]] = {}
    _versions: ClassVar[dict[str, tuple[tuple[int, int, int] | None, str]]] = {}

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
        except (FileNotFoundError, PermissionError) as exc:
            if self._headers_written:
                raise
            status = 404 if isinstance(exc, FileNotFoundError) else 403
            raise HTTPError(status, "%r cannot be read: %s", path, exc) from exc

    @classmethod
    def get_version(cls, settings: dict[str, Any], path: str) -> str | None:
        """Return the version that `static_url` adds to *path*: a hash of the file, None where there is none.

        The file is read at the first call, where the caller is; warm it up in a thread where that matters. Later
        calls touch no disk: a file that was replaced has its new version as soon as it has been served once.
        """
        key = settings["static_path"], path
        absolute_path = cls._paths.get(key)
        if absolute_path is None:
            try:
                absolute_path = cls.get_absolute_path(*key)
            except HTTPError:
                return None
            if len(cls._paths) < _MOST_VERSIONS:
                cls._paths[key] = absolute_path
        known = cls._versions.get(absolute_path)
        return known[1] if known is not None else cls._hash(absolute_path, None)

    @classmethod
    def reset(cls) -> None:
        super().reset()
        cls._versions.clear()
        cls._paths.clear()

    def decode_argument(self, value: bytes, name: str | None = None) -> str:
        try:
            return super().decode_argument(value, name)
        except HTTPError as exc:
            raise HTTPError(404, "%r names no file: it is not UTF-8", value[:40]) from exc

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        try:
            return super().get_absolute_path(root, path)
        except (OSError, ValueError) as exc:  # NUL, a name that is too long, ...
            raise HTTPError(404, "%r names no file", path) from exc

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        try:
            if self.path.rpartition(os.sep)[2] in {"", ".", ".."} and Path(absolute_path).is_file():
                raise HTTPError(404, "%r is a file, not a folder", self.path)
            return super().validate_absolute_path(root, absolute_path)
        except (OSError, ValueError) as exc:
            raise HTTPError(404, "%r names no file", self.path) from exc

    def should_return_304(self) -> bool:
        is_unchanged = super().should_return_304()
        if not is_unchanged and not self._is_range_current():
            self.request.headers.pop("Range", None)  # the whole file is answered
        return is_unchanged

    def compute_etag(self) -> str | None:
        assert self.absolute_path is not None
        version = self._version_of(self.absolute_path)
        return f'"{version}"' if version else None

    def _is_range_current(self) -> bool:
        """Whether If-Range, where given, names the file as it is. SPEC: RFC 9110 13.1.5"""
        validator = self.request.headers.get("If-Range")
        if validator is None:
            return True
        fields = self.header_fields()
        return validator.strip() == fields.get(
            "Etag" if validator.lstrip().startswith(('"', "W/")) else "Last-Modified"
        )

    @classmethod
    def _version_of(cls, absolute_path: str) -> str | None:
        """Return the hash of the file, kept until its time, size or inode change."""
        try:
            stat = Path(absolute_path).stat()
        except (OSError, ValueError):
            return None
        mark = stat.st_mtime_ns, stat.st_size, stat.st_ino
        known = cls._versions.get(absolute_path)
        return known[1] if known is not None and known[0] == mark else cls._hash(absolute_path, mark)

    @classmethod
    def _hash(cls, absolute_path: str, mark: tuple[int, int, int] | None) -> str | None:
        try:
            version = cls.get_content_version(absolute_path)
        except (OSError, ValueError, HTTPError):  # not there, too large to be hashed, no name of a file
            return None
        if len(cls._versions) < _MOST_VERSIONS or absolute_path in cls._versions:
            cls._versions[absolute_path] = mark, version
        return version

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
            redirections.append(lambda: self.redirect(self.request.root_path + args[0], *args[1:], **kwargs))  # type: ignore[attr-defined]  # ours

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
