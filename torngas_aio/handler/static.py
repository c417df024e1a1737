"""`StaticFileHandler`: Tornado's, under the pipeline; small files are served from memory, large ones by `sendfile`.

cached and unchanged (one `os.stat`)   status and headers are set on the loop; 304s and small files need no other I/O
otherwise                              found and read in a worker thread, which also sets status and headers
large                                  opened in a thread; `sendfile`, or parts read in a thread
"""

import datetime as dt
import functools
import logging
import os
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import anyio.to_thread
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.web import StaticFileHandler as _TornadoStaticFileHandler

from torngas_aio._compat.tornado import format_timestamp
from torngas_aio._concurrency import run_in_thread
from torngas_aio.handler.compression import accepted_codings
from torngas_aio.handler.ranges import Span, announce_span, parse_range, send_part, send_span
from torngas_aio.handler.static_files import CODINGS, FileCache, Mark, OpenFile, StaticFile, mark_of
from torngas_aio.handler.web import WebHandler

__all__ = ["StaticFileHandler"]

logger = logging.getLogger("torngas_aio.handler")


_MOST_VERSIONS = 10_000
_USUAL_FIELD = 100  # characters of an Accept-Encoding whose parsed value is cached


class StaticFileHandler(  # pyright: ignore[reportIncompatibleMethodOverride]  # Tornado's return futures
    WebHandler, _TornadoStaticFileHandler
):
    """A handler for the files of one directory: ranges, `If-None-Match`, `If-Modified-Since`, never outside its root.

    Accepts Tornado's route keywords: `path`, `default_filename`, `allowed_symlink_directory`. A file `x.br`, `x.zst`
    or `x.gz` beside `x`, at least as new, is served to clients that accept its coding. A class that overrides how a
    file is found, described or read runs in a worker thread, and its files are not cached.
    """

    _paths: ClassVar[dict[tuple[str, str], str]] = {}
    _versions: ClassVar[dict[str, tuple[Mark | None, str]]] = {}

    _file: StaticFile | None = None  # the file to serve; None if the class overrides how it is read
    _found: StaticFile | None = None  # the file that a thread has read, with its codings
    _source: OpenFile | None = None
    _is_looking_up = False
    _redirection: Callable[[], object] | None = None  # a redirect requested in a thread

    async def get(self, path: str, include_body: bool = True) -> None:
        """Respond with the file *path*, or the requested part of it.

        Raises:
            HTTPError: 404: there is no such file. 403: it cannot be read.
        """
        self.path = self.parse_url_path(path)
        try:
            cache = self.application.static_files
            if not cache.in_threads and self._use_cached(cache):
                span = self._decide()
            else:
                span = await run_in_thread(self._look_up)
                self._keep()
                if self._redirection is not None:
                    self._redirection()
                    span = None
            if span is not None and include_body:
                await self._send(span)
        except StreamClosedError:
            return
        except (FileNotFoundError, PermissionError) as exc:
            if self._headers_written:
                raise
            status = 404 if isinstance(exc, FileNotFoundError) else 403
            raise HTTPError(status, "%r cannot be read: %s", path, exc) from exc
        finally:
            if self._source is not None:
                self._source.close()

    @classmethod
    def get_version(cls, settings: dict[str, Any], path: str) -> str | None:
        """Return the version that `static_url` adds to *path*: a hash of the file, None if there is no such file.

        The first call reads the file in the calling thread; call it in a thread beforehand if that is too slow. Later
        calls read nothing: after a file was replaced, its new version is known once it has been served.
        """
        key = settings["static_path"], path
        absolute_path = cls._paths.get(key)
        if absolute_path is None:
            try:
                absolute_path = cls.get_absolute_path(*key)
            except HTTPError:
                _warn_missing(*key)
                return None
            if len(cls._paths) < _MOST_VERSIONS:
                cls._paths[key] = absolute_path
        known = cls._versions.get(absolute_path)
        if known is not None:
            return known[1]
        version = cls._hash(absolute_path, None)
        if version is None:
            _warn_missing(*key)
        return version

    @classmethod
    def reset(cls) -> None:
        super().reset()
        cls._versions.clear()
        cls._paths.clear()

    def _decode_arguments(self, args: object, kwargs: object) -> None:
        try:
            super()._decode_arguments(args, kwargs)
        except HTTPError as exc:
            raise HTTPError(404, "%r names no file: it is not UTF-8", self.request.path[:40]) from exc

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> Any:
        """Redirect as Tornado does; a call by `validate_absolute_path`, in a thread, is executed by the loop later."""
        if self._redirection is None and self._is_looking_up:
            self._redirection = functools.partial(super().redirect, self.request.root_path + url, permanent, status)
            return None
        return super().redirect(url, permanent, status)

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

    def set_headers(self) -> None:
        """Set the headers about the file: validators, type, coding, caching."""
        self.set_header("Accept-Ranges", "bytes")
        self.set_etag_header()
        if self.modified is not None:
            self.set_header("Last-Modified", _timestamp(self.modified))
        content_type = self.get_content_type()
        if content_type:
            self.set_header("Content-Type", content_type)
        if self._file is not None and self._file.varies:
            self._vary_by_coding(self._file.coding)
        cache_time = self.get_cache_time(self.path, self.modified, content_type)
        if cache_time > 0:
            self.set_header("Expires", dt.datetime.now(dt.UTC) + dt.timedelta(seconds=cache_time))
            # SPEC: RFC 8246: a URL with a version needs no revalidation
            is_versioned = "v" in self.request.query_arguments
            self.set_header("Cache-Control", f"max-age={cache_time}" + (", immutable" if is_versioned else ""))
        self.set_extra_headers(self.path)

    def get_content_type(self) -> str:
        assert self.absolute_path is not None
        return _content_type(self.absolute_path)

    def get_content_size(self) -> int:
        return super().get_content_size() if self._file is None else self._file.size

    def should_return_304(self) -> bool:
        fields = self._fields if self._full_headers is None else self.header_fields()
        tags = self.request.first_header(b"if-none-match")
        if tags is not None:
            return tags == fields.get("Etag") or super().should_return_304()
        since = self.request.first_header(b"if-modified-since")
        return since is not None and (since == fields.get("Last-Modified") or super().should_return_304())

    def compute_etag(self) -> str | None:
        if self._file is not None:
            return self._file.etag
        assert self.absolute_path is not None
        version = self._version_of(self.absolute_path)
        return f'"{version}"' if version else None

    # Finding the file

    def _key(self) -> Hashable:
        links, page = self.allowed_symlink_directory, self.default_filename
        allowed = repr(links) if links else None
        # A folder's name with and without the slash: one of them is redirected to the other.
        has_slash = page is not None and self.request.path[-1:] == "/"
        return type(self), self.root, self.path, page, allowed, has_slash

    def _use_cached(self, cache: FileCache) -> bool:
        """Use the cached file, if there is one and it is unchanged."""
        known = cache.get(self._key())
        if known is None:
            return False
        self.absolute_path = known.path
        self._file = known.current(self._codings())
        return self._file is not None

    def _stat(self) -> os.stat_result:
        return super()._stat() if self._file is None else self._file.stat

    def _codings(self) -> list[str]:
        """Return the codings that the client prefers to identity, best first."""
        field = self.request.first_header(b"accept-encoding")
        if not field:
            return []
        return _codings_of(field) if len(field) <= _USUAL_FIELD else _codings_of.__wrapped__(field)

    def _look_up(self) -> Span | None:
        """Find and read the file, and decide on the response; blocks."""
        cache = self.application.static_files
        if cache.in_threads and self._use_cached(cache):
            return self._decide()
        self._is_looking_up = True
        try:
            absolute_path = self.get_absolute_path(self.root, self.path)
            self.absolute_path = self.validate_absolute_path(self.root, absolute_path)
        finally:
            self._is_looking_up = False
        if self.absolute_path is None:
            return None
        if _is_ours(type(self)):  # type: ignore[arg-type]  # classes are hashable
            page = self.default_filename
            is_page = page is not None and Path(absolute_path).is_dir()
            self._file = self._read(self.absolute_path, f"{absolute_path}{os.sep}{page}" if is_page else absolute_path)
        return self._decide()

    def _read(self, path: str, name: str) -> StaticFile:
        """Read the file and its variants in other codings; return the one to serve."""
        self._found = file = self._read_one(path)
        file.name = name
        for coding, suffix in CODINGS.items():
            if os.access(path + suffix, os.F_OK):
                try:
                    file.packed[coding] = self._read_one(path + suffix, coding)
                except OSError:
                    file.packed[coding] = None  # a folder, a link, or an unreadable file
        there = [each for each in file.packed.values() if each is not None]
        for each in (file, *there):
            each.varies = bool(there)
        return file.best(self._codings())

    def _read_one(self, path: str, coding: str = "") -> StaticFile:
        file = StaticFile.read(path, self.application.static_files.max_content, coding)
        if file.content is None:
            version = self._version_of(path)
            file.version = version if file.is_current() else None
        else:
            self._remember(path, file.mark, file.version)
        return file

    def _keep(self) -> None:
        """Cache the file that a thread has found, unless its path is not normalized: such paths are unlimited."""
        file = self._found
        if file is not None and file.is_settled and self.path.rstrip(os.sep) in {"", os.path.normpath(self.path)}:
            self.application.static_files.keep(self._key(), file)

    @classmethod
    def _version_of(cls, absolute_path: str) -> str | None:
        """Return the hash of the file, cached until its time, size or inode changes."""
        try:
            mark = mark_of(Path(absolute_path).stat())
        except (OSError, ValueError):
            return None
        known = cls._versions.get(absolute_path)
        return known[1] if known is not None and known[0] == mark else cls._hash(absolute_path, mark)

    @classmethod
    def _hash(cls, absolute_path: str, mark: Mark | None) -> str | None:
        try:
            version = cls.get_content_version(absolute_path)
        except (OSError, ValueError, HTTPError):  # missing, too large to hash, or an invalid name
            return None
        cls._remember(absolute_path, mark, version)
        return version

    @classmethod
    def _remember(cls, absolute_path: str, mark: Mark | None, version: str | None) -> None:
        if version is not None and (len(cls._versions) < _MOST_VERSIONS or absolute_path in cls._versions):
            cls._versions[absolute_path] = mark, version

    # Deciding

    def _decide(self) -> Span | None:
        """Set status and headers; return the range of bytes to send, None for no body."""
        file = self._file
        if file is None:
            self.modified = self.get_modified_time()
            self.set_headers()
        else:
            self.modified = file.modified
            is_lean = self._full_headers is None and self._added is None and "Vary" not in self._fields
            if is_lean and not self.request.query and _has_standard_headers(type(self)):  # type: ignore[arg-type]  # hashable
                # PERF: -5 us against setting each header (benchmarks, static-304)
                self._fields.update(file.fields or self._build_fields(file))
            else:
                self.set_headers()
        if self.should_return_304():
            self.set_status(304)
            return None
        size = self.get_content_size()
        span = self._wanted_span(size)
        if not announce_span(self, span, size):
            self.clear_header("Content-Encoding")
            self.set_header("Content-Type", "text/plain")
        return span

    def _build_fields(self, file: StaticFile) -> dict[str, str]:
        """Return the headers about *file*, which are the same for each request, and keep them with it."""
        given, self._fields = self._fields, {}
        self.set_headers()
        file.fields, self._fields = self._fields, given
        return file.fields

    def _wanted_span(self, size: int) -> Span | None:
        """Return start and end of the requested part; None if it is beyond the file. SPEC: RFC 9110 14.1.2"""
        if not self.request.first_header(b"range"):
            return 0, size
        fields, asked = self.header_fields(), self.request.headers
        validators = fields.get("Etag"), fields.get("Last-Modified")
        return parse_range(asked["Range"], size, asked.get("If-Range"), validators)

    def _vary_by_coding(self, coding: str) -> None:
        known = self.header_fields().get("Vary", "")
        if "accept-encoding" not in known.lower():
            self.set_header("Vary", f"{known}, Accept-Encoding" if known else "Accept-Encoding")
        if coding:
            self.set_header("Content-Encoding", coding)

    # Sending

    async def _send(self, span: Span) -> None:
        file = self._file
        if file is None:
            assert self.absolute_path is not None
            content = _parts(self, self.absolute_path, None if span == (0, self.get_content_size()) else span)
            while (chunk := await run_in_thread(functools.partial(next, content, None))) is not None:
                await send_part(self, chunk)
        elif file.content is not None:
            start, end = span
            self.write(file.content if end - start == file.size else file.content[start:end])
        elif (opened := await anyio.to_thread.run_sync(self._open, span)) is not None:
            assert self._source is not None
            await send_span(self, self._source, *opened, by_system=not self.application.static_files.in_threads)

    def _open(self, span: Span) -> Span | None:
        """Open the file; if it has changed since, set status and headers again from the open file. Blocks."""
        assert self._file is not None
        self._source = source = OpenFile(self._file.path)
        if mark_of(source.stat) == self._file.mark:
            return span
        changed = StaticFile(self._file.path, source.stat, self._file.coding)  # its hash is unknown
        changed.varies = self._file.varies
        self._file = changed
        for name in ("Etag", "Content-Range"):
            self.clear_header(name)
        self.set_status(200)
        return self._decide()


def _parts(handler: StaticFileHandler, path: str, span: Span | None) -> Iterator[bytes]:
    content: Any = handler.get_content(path, *(span or (None, None)))
    yield from (content,) if isinstance(content, bytes) else content


@functools.lru_cache(256)
def _codings_of(field: str) -> list[str]:
    return accepted_codings(field, CODINGS)


@functools.lru_cache(4096)
def _timestamp(moment: dt.datetime) -> str:
    return format_timestamp(moment)


@functools.lru_cache(4096)
def _content_type(absolute_path: str) -> str:
    handler = _TornadoStaticFileHandler.__new__(_TornadoStaticFileHandler)
    handler.absolute_path = absolute_path
    return handler.get_content_type()


_OURS = (
    "get_absolute_path", "validate_absolute_path", "get_modified_time", "set_headers", "should_return_304",
    "get_content_size", "get_content", "get_content_version", "get_content_type", "compute_etag",
)  # fmt: skip


@functools.lru_cache(1000)  # one warning a file, however often a page names it
def _warn_missing(root: str, path: str) -> None:
    logger.warning("static_url(%r): %s has no such file that can be read. The address has no version.", path, root)


@functools.lru_cache(256)
def _is_ours(cls: type[StaticFileHandler]) -> bool:
    """Return whether *cls* does not override how a file is found, described and read."""
    return all(_function(cls, name) is _function(StaticFileHandler, name) for name in _OURS)


@functools.lru_cache(256)
def _has_standard_headers(cls: type[StaticFileHandler]) -> bool:
    """Return whether *cls* does not override the headers about a file."""
    return _is_ours(cls) and all(  # type: ignore[arg-type]  # classes are hashable
        _function(cls, name) is _function(StaticFileHandler, name)
        for name in ("set_extra_headers", "get_cache_time", "set_header", "set_etag_header")
    )


def _function(cls: type, name: str) -> object:
    found = getattr(cls, name)
    return getattr(found, "__func__", found)
