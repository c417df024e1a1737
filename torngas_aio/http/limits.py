"""What a client may ask of the server: sizes, counts, seconds."""

from dataclasses import dataclass

__all__ = ["MAX_BODY_BYTES", "MAX_DRAINED", "NEVER", "Limits"]

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The largest request body that every server takes unless told otherwise."""

MAX_DRAINED = 64 * 1024
"""The largest unread body in bytes that is read and dropped, to keep the connection."""

NEVER = float("inf")
"""A deadline that does not come."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; a time of 0 or None is no deadline.

    Attributes:
        max_line_size: The request line; a longer one is answered 414.
        max_header_size: The whole head, request line included; 431.
        max_header_count: Header fields of one request; 431.
        max_body_size: A request body, after decompression; 413.
        max_keep_alive_requests: Requests on one connection; 0 for as many as come.
        header_timeout: From the first byte of a head (of a new connection: from accept) to its end; 408.
        idle_connection_timeout: From the end of an answer to the next request.
        body_timeout: A whole body, however fast it comes; 408. Off by default.
        body_rate_timeout: The span over which a body must come at `min_rate` or more; 408.
        write_timeout: The span over which a client must take answers at `min_rate` or more.
        min_rate: Bytes a second below which a client is taken for an attack or dead.
        linger_timeout: How long a closing connection is still read, so that the answer is not lost.
        chunk_size: The largest piece in which a body is handed on.
        decompress_request: Whether bodies with `Content-Encoding: gzip` are unpacked.
    """

    no_keep_alive: bool = False
    max_line_size: int = 16 * 1024
    max_header_size: int = 64 * 1024
    max_header_count: int = 100
    max_body_size: int = MAX_BODY_BYTES
    max_keep_alive_requests: int = 0
    header_timeout: float = 10.0
    idle_connection_timeout: float = 60.0
    body_timeout: float = 0.0
    body_rate_timeout: float = 10.0
    write_timeout: float = 10.0
    min_rate: float = 240.0
    linger_timeout: float = 2.0
    chunk_size: int = 64 * 1024
    decompress_request: bool = False

    @property
    def requests_per_connection(self) -> int:
        """How many requests one connection serves; -1 for as many as come."""
        return 1 if self.no_keep_alive else self.max_keep_alive_requests or -1

    @property
    def sweep_seconds(self) -> float:
        """How often deadlines are looked at: a tenth of the shortest one, between 0.01 s and 1 s."""
        times = (
            self.header_timeout,
            self.idle_connection_timeout,
            self.body_timeout,
            self.body_rate_timeout,
            self.write_timeout,
            self.linger_timeout,
        )
        return min(max(min((time for time in times if time), default=10.0) / 10, 0.01), 1.0)
