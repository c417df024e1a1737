"""Markers of a handler's parameters: where each value comes from, its name there, and its limits.

    async def get(self, project: Path[int], page: Query[int] = 1) -> Page[TaskOut]: ...
    async def get(self, size: Query[Annotated[int, Param(name="page-size", ge=1, le=100)]] = 20): ...

A marker is `Annotated`, so type checkers see the plain type.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from torngas_aio.http.uploads import read_media_types

__all__ = ["Body", "Cookie", "File", "Form", "Header", "Param", "Path", "Query", "Source"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a parameter is read from: path, query, header, cookie, form, file or body."""

    place: str


Path = Annotated[T, Source("path")]
"""A group of the route's pattern: a named one by its name, unnamed ones in their order."""

Query = Annotated[T, Source("query")]
"""An argument of the query; a list takes each of them, an object type one for each of its fields."""

Header = Annotated[T, Source("header")]
"""A header field; `_` in the parameter's name is `-`."""

Cookie = Annotated[T, Source("cookie")]
"""A cookie, not signed."""

Form = Annotated[T, Source("form")]
"""A field of a form in the body; lists and object types as with `Query`."""

File = Annotated[T, Source("file")]
"""A file of a multipart form; declare `UploadedFile`, or `list[UploadedFile]` for each of one name.

Bodies above 1 MiB are then spooled, unless the class sets `spool_body` itself. `HTTPFile` gives Tornado's, in memory.
"""

Body = Annotated[T, Source("body")]
"""The body as JSON; one parameter of a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """Name and limits of a parameter.

    Args:
        name: Its name in the request; None: the parameter's own.
        ge: The smallest number; *gt*, *le*, *lt*, *multiple_of* likewise.
        min_length: Of a text or list; *max_length* likewise.
        pattern: A regular expression, searched in a text. Write one that cannot backtrack.
        max_bytes: Of a file; larger ones are answered 413.
        content_types: Those that a file may have, such as "application/pdf" and "image/*"; 422 for others.
        description: Shown in the OpenAPI document, as *title* and *examples* are.
    """

    name: str | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    max_bytes: int | None = None
    content_types: tuple[str, ...] = ()
    title: str | None = None
    description: str | None = None
    examples: list[Any] | None = None

    def __post_init__(self) -> None:
        if self.content_types:
            read_media_types()
