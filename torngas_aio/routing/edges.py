"""Values found by what a text opens with, ends with, or holds.

    ("", "-a1.html") ──► 1        text "7-a1.html" ──► 1
    ("", ".html")    ──► 2                         ──► 2
    ("v", "")        ──► 3        text "v7"        ──► 3

Edges of differing lengths are asked shortest first, and longer ones only among those that share the shorter, so
that a look-up takes a step or two however many edges there are. `Inner` asks so from each character on. Begin with
`Edges.find`.
"""

from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

__all__ = ["Edges", "Inner"]

T = TypeVar("T")


class Edges(Generic[T]):
    """A frozen table of openings and endings.

    Args:
        entries: Opening, ending and value; either edge may be empty.
    """

    __slots__ = ("_openings",)

    def __init__(self, entries: Iterable[tuple[str, str, T]]) -> None:
        by_opening: dict[str, list[tuple[str, T]]] = {}
        for opening, ending, value in entries:
            by_opening.setdefault(opening, []).append((ending, value))
        self._openings: _Level[_Level[T]] = _Level(
            [(opening, _Level(found, is_ending=True)) for opening, found in by_opening.items()], is_ending=False
        )

    def find(self, opening_of: str, ending_of: str, found: list[T]) -> None:
        """Add to *found* every value whose opening starts one text and whose ending ends the other."""
        level: _Level[_Level[T]] | None = self._openings
        while level is not None:
            for endings in level.values:
                below: _Level[T] | None = endings
                while below is not None:
                    found += below.values
                    if below.further is None:
                        break
                    below = below.further.get(ending_of[-below.length :])
            if level.further is None:
                return
            level = level.further.get(opening_of[: level.length])


class Inner(Generic[T]):
    """A frozen table of texts to be found anywhere in another.

    Args:
        entries: Text, not empty, and value.
    """

    __slots__ = ("_start",)

    def __init__(self, entries: Sequence[tuple[str, T]]) -> None:
        self._start: _Level[T] = _Level(entries, is_ending=False)

    def find(self, text: str, found: list[T]) -> None:
        """Add to *found* every value whose own text is somewhere in *text*, some of them more than once."""
        first, length = self._start.further, self._start.length
        if first is None:
            return
        for start in range(len(text) - length + 1):
            level = first.get(text[start : start + length])
            while level is not None:
                found += level.values
                if level.further is None:
                    break
                level = level.further.get(text[start : start + level.length])


class _Level(Generic[T]):
    """What is known once a text's first (or last) so many characters are.

    Attributes:
        values: Those whose edge is thereby complete; or the only one left, complete or not.
        length: How many characters decide next.
        further: What each of them leads to; None at the end.
    """

    __slots__ = ("further", "length", "values")

    def __init__(self, edges: Sequence[tuple[str, T]], is_ending: bool, known: int = 0) -> None:
        longer = [edge for edge in edges if len(edge[0]) > known]
        self.further: dict[str, _Level[T]] | None = None
        if len(edges) == 1 and known:
            longer = []
        self.values: list[T] = [value for edge, value in edges if len(edge) <= known or not longer]
        self.length = min((len(edge) for edge, _ in longer), default=0)
        if longer:
            groups: dict[str, list[tuple[str, T]]] = {}
            for edge in longer:
                key = edge[0][-self.length :] if is_ending else edge[0][: self.length]
                groups.setdefault(key, []).append(edge)
            self.further = {key: _Level(group, is_ending, self.length) for key, group in groups.items()}
