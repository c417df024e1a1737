"""Responses that a method of an `ApiHandler` returns: a value with a status and headers.

return Created(task, headers={"Location": url})       201, the value as JSON
return NoContent()                                    204, no body
"""

from collections.abc import Mapping
from typing import Generic, TypeGuard, TypeVar

__all__ = ["Accepted", "Created", "NoContent", "Reply", "is_reply"]

T = TypeVar("T")


class Reply(Generic[T]):
    """A value to respond with, and how.

    Args:
        value: As a plain returned value.
        status: The response's status code; None: the class's own.
        headers: Set on the response.
    """

    status_code = 200

    def __init__(self, value: T, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.value = value
        self.status = self.status_code if status is None else status
        self.headers = headers or {}


class Created(Reply[T]):
    """201: the value is what was made; name it in a `Location` header."""

    status_code = 201


class Accepted(Reply[T]):
    """202: the work goes on after the response."""

    status_code = 202


class NoContent(Reply[None]):
    """204: done, and there is nothing to say."""

    status_code = 204

    def __init__(self, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(None, headers=headers)


def is_reply(value: object) -> TypeGuard[Reply[object]]:
    """Return whether *value* says its status and headers."""
    return isinstance(value, Reply)
