"""Markers of a handler's parameters: the source of each value, its name there, and its limits.

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
    """The source of a parameter: path, query, header, cookie, form, file or body."""

    place: str


Path = Annotated[T, Source("path")]
"""A group of the route's pattern: named groups by name, others in order."""

Query = Annotated[T, Source("query")]
"""An argument of the query; a list gets all values of the name, an object type one argument for each field."""

Header = Annotated[T, Source("header")]
"""A header field; `_` in the parameter's name stands for `-`."""

Cookie = Annotated[T, Source("cookie")]
"""An unsigned cookie."""

Form = Annotated[T, Source("form")]
"""A field of a form in the body; lists and object types as with `Query`."""

File = Annotated[T, Source("file")]
"""A file of a multipart form, as `UploadedFile`; `list[UploadedFile]` for all files of the name.

Bodies above 1 MiB are then spooled, unless the class sets `spool_body`. `HTTPFile` is Tornado's type, in memory.
"""

Body = Annotated[T, Source("body")]
"""The body as JSON; at most one parameter of a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """Name and limits of a parameter.

    Args:
        name: Its name in the request; None: the parameter's name.
        ge: The minimum of a number; *gt*, *le*, *lt*, *multiple_of* likewise.
        min_length: The minimum length of a string or list; *max_length* likewise.
        pattern: A regular expression, searched in a string. It must not backtrack.
        max_bytes: The maximum size of a file; 413 for larger ones.
        content_types: Allowed types of a file, such as "application/pdf" and "image/*"; 422 for others.
        description: Shown in the OpenAPI document, like *title* and *examples*.
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
