"""Errors of reading a request's body."""

__all__ = ["BodyError", "ClientGone"]


class BodyError(Exception):
    """A request's body cannot be read to its end; the connection closes after the response.

    Attributes:
        status: Of the response: 400 malformed, 408 too slow, 413 too large, 415 in an unsupported coding.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ClientGone(ConnectionError):
    """The client closed the connection before its request, or the response, was complete."""
