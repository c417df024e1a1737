"""The object that does nothing, for places where "none" should still answer calls. Begin with `Null`."""

from collections.abc import Iterator
from typing import Any

__all__ = ["Null"]


class Null:
    """Whatever is done with it gives a `Null` again: call it, read, set and delete attributes and items.

    It is false, empty and equal to every other `Null`. Attributes with two leading underscores are missing,
    as on any object, so that `copy`, `pickle` and template engines are not deceived.
    """

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> "Null":
        return self

    def __getattr__(self, name: str) -> "Null":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def __delattr__(self, name: str) -> None:
        pass

    def __getitem__(self, key: Any) -> "Null":
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Null)

    def __hash__(self) -> int:
        return hash(Null)

    def __repr__(self) -> str:
        return "<Null>"

    def __str__(self) -> str:
        return ""
