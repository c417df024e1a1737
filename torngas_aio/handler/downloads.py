"""`send_file`: one file below a folder as the response, for `BaseHandler.send_file`.

    name, root ──► opened folder by folder, no link followed ──► 404 | 304 | 416 | 206 | 200, `sendfile`

Headers and content come from one open descriptor, so that they match even if the name is replaced meanwhile.
"""

import datetime as dt
import errno
import hashlib
import mimetypes
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from tornado.web import HTTPError

from torngas_aio._compat.tornado import format_timestamp
from torngas_aio._concurrency import run_in_thread
from torngas_aio.handler.ranges import Span, announce_span, parse_range, send_span
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.static_files import OpenFile, mark_of

__all__ = ["content_disposition", "send_file"]

_SHOWN = ("image/", "audio/", "video/", "text/plain", "application/pdf")
_ACTIVE = frozenset({"image/svg+xml"})  # may contain scripts, which would run with the site's origin
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_ABSENT = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ENXIO}
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_SAFE = "!#$&+-.^_`|~"  # SPEC: RFC 8187 3.2.1, attr-char except letters and digits


async def send_file(
    handler: ResponseHandler,
    name: str,
    root: str | os.PathLike[str],
    *,
    filename: str | None = None,
    inline: bool | None = None,
    content_type: str | None = None,
) -> None:
    """Implement `BaseHandler.send_file`."""
    filename = filename or name.rpartition("/")[2]
    source = await run_in_thread(_open_below, os.fspath(root), name)
    try:
        if content_type is None:
            content_type = await run_in_thread(_type_of, filename)  # the first call reads Python's table from files
        _describe(handler, source, filename, inline, content_type)
        span = _decide(handler, source.stat.st_size)
        if span is not None and handler.request.method != "HEAD":
            await send_span(handler, source, *span)
    finally:
        source.close()


def content_disposition(kind: str, filename: str) -> str:
    """Return the value of `Content-Disposition`. SPEC: RFC 6266 4.3, RFC 8187

    Args:
        kind: "attachment" or "inline".
        filename: Folders and control characters in it are replaced.
    """
    filename = " ".join(filename.split())
    filename = "".join(each if each.isprintable() and each not in '/\\"' else "_" for each in filename)
    plain = filename.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    value = f'{kind}; filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe=_SAFE)}"
    return value


def _open_below(root: str, name: str) -> OpenFile:
    """Open the file *name* below *root*; blocks.

    Raises:
        HTTPError: 404: there is no such file, its name or a folder is a link, or it is outside *root*.
    """
    parts = name.split("/")
    if _CONTROLS(name) or any(part in {"", ".", ".."} or "\\" in part for part in parts):
        raise _not_found(name)
    try:
        if os.open not in os.supports_dir_fd:
            return _open_resolved(root, parts)
        with _folder(root, parts[:-1]) as folder:
            return OpenFile(parts[-1], folder)
    except (OSError, ValueError) as exc:
        if isinstance(exc, OSError) and exc.errno not in _ABSENT and not isinstance(exc, FileNotFoundError):
            raise
        raise _not_found(name) from exc


@contextmanager
def _folder(root: str, parts: list[str]) -> Generator[int]:
    descriptor = os.open(root, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))  # the root itself may be a link
    try:
        for part in parts:
            below = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _open_resolved(root: str, parts: list[str]) -> OpenFile:
    """Open the file on systems without `dir_fd`: a path that changes when resolved contains a link."""
    base = Path(root).resolve()
    path = base.joinpath(*parts)
    if path.resolve() != path or not path.is_relative_to(base):  # the latter: a drive, on Windows
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return OpenFile(str(path))


def _not_found(name: str) -> HTTPError:
    return HTTPError(404, "send_file: there is no file %.200r", name)


def _describe(handler: ResponseHandler, source: OpenFile, filename: str, inline: bool | None, kind: str) -> None:
    media_type = kind.partition(";")[0].strip().lower()
    is_harmless = media_type.startswith(_SHOWN) and media_type not in _ACTIVE
    is_inline = is_harmless if inline is None else inline
    known = handler.header_fields()
    handler.set_header("Accept-Ranges", "bytes")
    handler.set_header("Content-Type", kind)
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Content-Disposition", content_disposition("inline" if is_inline else "attachment", filename))
    if is_inline and not is_harmless and "Content-Security-Policy" not in known:
        handler.set_header("Content-Security-Policy", "sandbox")
    if "Cache-Control" not in known:
        handler.set_header("Cache-Control", "private, no-cache")
    if "Etag" not in known:
        mark = repr(mark_of(source.stat)).encode()
        handler.set_header("Etag", f'"{hashlib.sha256(mark).hexdigest()[:32]}"')
    handler.set_header("Last-Modified", format_timestamp(int(source.stat.st_mtime)))


def _type_of(filename: str) -> str:
    kind, coding = mimetypes.guess_type(filename)
    if coding is not None:  # a compressed file is sent unchanged
        return {"gzip": "application/gzip"}.get(coding, "application/octet-stream")
    return f"{kind}; charset=UTF-8" if kind == "text/plain" else kind or "application/octet-stream"


def _decide(handler: ResponseHandler, size: int) -> Span | None:
    """Set the status; return the range of bytes to send, None for no body."""
    fields, method = handler.header_fields(), handler.request.method
    if method in {"GET", "HEAD"} and _is_unchanged(handler, fields["Last-Modified"]):
        handler.set_status(304)
        return None
    header = handler.request.headers.get("Range") if method == "GET" else None
    validator = handler.request.headers.get("If-Range")
    span = parse_range(header, size, validator, (fields["Etag"], fields["Last-Modified"])) if header else (0, size)
    if not announce_span(handler, span, size):
        handler.clear_header("Content-Disposition")
        handler.set_header("Content-Type", "text/plain; charset=UTF-8")
    return span


def _is_unchanged(handler: ResponseHandler, modified: str) -> bool:
    """Return whether the client's copy is current. SPEC: RFC 9110 13.2.2: If-None-Match takes precedence"""
    headers = handler.request.headers
    if "If-None-Match" in headers:
        return bool(handler.check_etag_header())
    since = headers.get("If-Modified-Since")
    try:
        asked = None if since is None else parsedate_to_datetime(since)
    except (TypeError, ValueError, OverflowError):  # not a date: ignored
        return False
    if asked is None:
        return False
    asked = asked if asked.tzinfo is not None else asked.replace(tzinfo=dt.UTC)
    return parsedate_to_datetime(modified) <= asked
