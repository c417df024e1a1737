"""Parts of files: parsing `Range`, and sending the bytes.

parse_range   Range, If-Range, size ──► start and end
announce_span  start and end ──► status and headers
send_span     by `sendfile` on plain connections of our own server, else in pieces read in threads
"""

# pyright: reportPrivateUsage=false
from typing import Any

import anyio.to_thread

from torngas_aio.handler.compression import GZipContentEncoding
from torngas_aio.handler.response import ResponseHandler
from torngas_aio.handler.static_files import OpenFile
from torngas_aio.utils.numbers import parse_whole

__all__ = ["Span", "announce_span", "parse_range", "send_part", "send_span"]

Span = tuple[int, int]
"""The first byte of a part, and the one after its last."""

_PIECE = 256 * 1024  # bytes read in one call of a thread


def announce_span(handler: ResponseHandler, span: Span | None, size: int) -> bool:
    """Set the status and headers for *span* of *size* bytes; return False for no span, which is 416."""
    if span is None:
        handler.set_status(416)
        handler.set_header("Content-Range", f"bytes */{size}")
        return False
    start, end = span
    if end - start != size:  # a range that covers the whole file gets 200, as in Tornado
        handler.set_status(206)
        handler.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
    handler.set_header("Content-Length", str(end - start))
    return True


def parse_range(
    header: str, size: int, validator: str | None = None, current: tuple[str | None, str | None] = (None, None)
) -> Span | None:
    """Return the requested part of *size* bytes; None if the range is beyond them. SPEC: RFC 9110 14.1.2

    Args:
        header: The Range; anything but a single range of bytes is ignored.
        validator: The If-Range.
        current: Current Etag and Last-Modified of the file.
    """
    wanted = _range_of(header)
    if wanted is None or not _is_current(validator, *current):
        return 0, size
    first, last = wanted
    if first is None:
        assert last is not None
        return (max(size - last, 0), size) if last and size else None
    end = size if last is None else min(last + 1, size)
    return (first, end) if first < end else None


def _is_current(validator: str | None, etag: str | None, modified: str | None) -> bool:
    """Return whether If-Range, if given, matches the current file. SPEC: RFC 9110 13.1.5"""
    if validator is None:
        return True
    validator = validator.strip()
    return validator == (etag if validator.startswith(('"', "W/")) else modified)


def _range_of(header: str) -> tuple[int | None, int | None] | None:
    """Return first and last byte of *header* if it is one range of bytes, None if it is to be ignored.

    SPEC: RFC 9110 14.2. Tornado would also accept signs, underscores, other digits.
    """
    unit, _, text = header.partition("=")
    first, dash, last = text.partition("-")
    ends = [parse_whole(end) if end else None for end in (first, last)]
    is_range = unit == "bytes" and dash and (first or last)
    if not is_range or (first and ends[0] is None) or (last and ends[1] is None):
        return None
    return ends[0], ends[1]


async def send_span(
    handler: ResponseHandler, source: OpenFile, start: int, end: int, *, by_system: bool = True
) -> None:
    """Send the bytes from *start* to *end* as the body; `Content-Length` must be set before.

    Args:
        by_system: Whether `sendfile` may be used; it may block on a slow file system.
    """
    connection: Any = handler.request.connection
    if by_system and connection.can_send_files and not _is_transformed(handler):
        await handler.flush()
        if not handler._finished:  # by an error page
            await connection.send_file(source.descriptor, start, end - start)
        return
    while start < end and not handler._finished:
        chunk = await anyio.to_thread.run_sync(source.read, min(end - start, _PIECE), start)
        if not chunk:  # the file was truncated in the meantime: `finish` reports the missing bytes
            return
        start += len(chunk)
        await send_part(handler, chunk)


async def send_part(handler: ResponseHandler, chunk: bytes) -> None:
    """Write *chunk*, and send it unless it is the whole body."""
    handler.write(chunk)
    if len(chunk) != int(handler.header_fields().get("Content-Length", -1)):
        await handler.flush()


def _is_transformed(handler: ResponseHandler) -> bool:
    return not all(isinstance(each, GZipContentEncoding) and each.is_idle for each in handler._transforms)
