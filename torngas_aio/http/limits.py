"""Limits on requests: sizes, counts, seconds."""

from dataclasses import dataclass

__all__ = ["MAX_BODY_BYTES", "MAX_DRAINED", "NEVER", "Limits"]

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Default limit of a request body on every server."""

MAX_DRAINED = 64 * 1024
"""The largest unread body, in bytes, that is read and dropped to keep the connection open."""

NEVER = float("inf")
"""A deadline that never passes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; a time of 0 or None means no deadline.

    Attributes:
        max_line_size: The request line; 414 if longer.
        max_header_size: The whole head, including the request line; 431.
        max_header_count: Header fields of one request; 431.
        max_body_size: A request body, after decompression; 413.
        max_keep_alive_requests: Requests on one connection; 0 for no limit.
        header_timeout: From the first byte of a head (on a new connection: from accept) to its end; 408.
        idle_connection_timeout: From the end of a response to the next request.
        body_timeout: A whole body, at any rate; 408. Off by default.
        body_rate_timeout: The period over which a body must arrive at `min_rate` or more; 408.
        write_timeout: The period over which a client must read responses at `min_rate` or more.
        min_rate: Bytes per second; a slower client is treated as stalled or hostile.
        linger_timeout: How long a closing connection is still read, so that the client receives the response.
        chunk_size: The largest piece of a body passed to the application.
        decompress_request: Whether bodies with `Content-Encoding: gzip` are decompressed.
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
        """Most requests on one connection; -1 for no limit."""
        return 1 if self.no_keep_alive else self.max_keep_alive_requests or -1

    @property
    def sweep_seconds(self) -> float:
        """Seconds between two checks of the deadlines: a tenth of the shortest one, between 0.01 s and 1 s."""
        times = (
            self.header_timeout,
            self.idle_connection_timeout,
            self.body_timeout,
            self.body_rate_timeout,
            self.write_timeout,
            self.linger_timeout,
        )
        return min(max(min((time for time in times if time), default=10.0) / 10, 0.01), 1.0)
