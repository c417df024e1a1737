"""Why a request's body cannot be read."""

__all__ = ["BodyError", "ClientGone"]


class BodyError(Exception):
    """A request's body cannot be read to its end; the connection closes after the answer.

    Attributes:
        status: What to answer: 400 malformed, 408 too slow, 413 too large, 415 in a coding that is not supported.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ClientGone(ConnectionError):
    """The client closed the connection before its request, or our answer, was complete."""
