"""`GZipContentEncoding`: Tornado's class for `compress_response`, with stricter rules.

206               not compressed: its Content-Range counts the bytes of the original file
HEAD              the same head as for GET
gzip;q=0          gzip is refused
Etag              weak once the body is compressed, because the bytes differ
"""

import gzip
from collections.abc import Iterable

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import GZipContentEncoding as _TornadoGZip

from torngas_aio._compat.tornado import gzip_file_of
from torngas_aio.errorpage.render import weight_of
from torngas_aio.utils.numbers import parse_whole

__all__ = ["GZipContentEncoding", "accepted_codings"]

_PARTIAL = 206


class GZipContentEncoding(_TornadoGZip):
    """A transform that compresses a response's body with gzip if the client accepts it and the body is large enough."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._gzipping = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
        self._is_head = request.method == "HEAD"

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        if status_code == _PARTIAL:
            self._gzipping = False
        vary = headers.get("Vary", "")
        length = parse_whole(headers.get("Content-Length", ""))
        is_promise = self._is_head and not chunk and bool(length)  # the length of the GET response
        if is_promise and (length or 0) < self.MIN_LENGTH:
            self._gzipping = False
        status_code, headers, chunk = super().transform_first_chunk(
            status_code, headers, chunk, finishing and not is_promise
        )
        if "accept-encoding" in vary.lower():  # Tornado would add it again
            headers["Vary"] = vary
        if self._gzipping and not (file := gzip_file_of(self)).closed:
            file.__class__ = _Abandonable  # it is never closed after a HEAD, or if the client leaves
        if self._gzipping and headers.get("Etag", "").startswith('"'):
            headers["Etag"] = f"W/{headers['Etag']}"
        return status_code, headers, b"" if is_promise else chunk

    @property
    def is_idle(self) -> bool:
        """Whether the response is not compressed."""
        return not self._gzipping


class _Abandonable(gzip.GzipFile):
    """A compressor into memory that need not be closed; Python's would write its trailer when it is collected."""

    def __del__(self) -> None:
        pass


def accepted_codings(field: str, offers: Iterable[str]) -> list[str]:
    """Return the *offers* that the Accept-Encoding *field* prefers to identity, best first, ties in offered order.

    SPEC: RFC 9110 12.5.3
    """
    weights = dict(weight_of(part) for part in field.split(",", 32)[:32])
    if "x-gzip" in weights:
        weights.setdefault("gzip", weights["x-gzip"])
    rest = weights.get("*", 0.0)
    least = weights.get("identity", 0.0)
    wanted = [(weights.get(offer, rest), offer) for offer in offers]
    found = [pair for pair in wanted if pair[0] > 0 and pair[0] >= least]
    return [offer for _, offer in sorted(found, key=lambda pair: -pair[0])]


def _accepts_gzip(field: str) -> bool:
    return bool(accepted_codings(field, ("gzip",)))
