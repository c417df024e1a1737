"""An index of the routes that could match a path.

    /api/user/(\\d+)/photos      one step per segment: by its whole text, by its opening and ending, or any
     └─ api ─ user ─ * ─ photos ■
    /static/(.*)\\.css           a gap that may cross slashes ends the steps: by its opening and ending
     └─ static ─ ... .css ■

A look-up costs a few dict look-ups per segment, whatever the number of routes. Routes that end at the same node (■)
are distinguished by the literals between their gaps; without such literals all of them are candidates.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from torngas_aio.routing.pattern import Gap, Shape

__all__ = ["Edges", "Inner", "RouteTree"]
T = TypeVar("T")


class Edges(Generic[T]):
    """An immutable table of prefixes and suffixes.

    Args:
        entries: Prefix, suffix and value; either text may be empty.
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
        """Add to *found* every value whose prefix starts *opening_of* and whose suffix ends *ending_of*."""
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
    """An immutable table of texts to be found anywhere in another.

    Args:
        entries: Non-empty text, and value.
    """

    __slots__ = ("_start",)

    def __init__(self, entries: Sequence[tuple[str, T]]) -> None:
        self._start: _Level[T] = _Level(entries, is_ending=False)

    def find(self, text: str, found: list[T]) -> None:
        """Add to *found* every value whose text occurs in *text*, possibly more than once."""
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
    """A node reached after a text's first (or last) characters up to a length.

    Attributes:
        values: Values whose text is complete here; or the only remaining value, complete or not.
        length: How many characters select the next node.
        further: The next nodes by these characters; None at the end.
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


MAX_PLAIN = 4
"""Up to this number of leaves at one node, trying all is cheaper than searching for their inner literals."""
_ORDER = attrgetter("order")


class Ordered(Hashable, Protocol):
    """A leaf of the tree: any object with a position in the order of declaration."""

    order: int


Leaf = TypeVar("Leaf", bound=Ordered)


class RouteTree(Generic[Leaf]):
    """Shapes and their leaves; call `add`, then `freeze`, then look up."""

    __slots__ = ("_depth", "_root")

    def __init__(self) -> None:
        self._root: _Node[Leaf] = _Node()
        self._depth = 1

    def add(self, shape: Shape, leaf: Leaf) -> None:
        """Make *leaf* a candidate for every path that fits *shape*."""
        segments, tail = _segments(shape)
        self._depth = max(self._depth, len(segments))
        node = self._root
        for segment in segments if tail is None else segments[:-1]:
            node = node.child_for(segment)
        if tail is None:
            node.add_end(leaf, shape)
        else:
            node.add_deep(_edge(segments[-1][0]), tail, leaf, shape)

    def freeze(self) -> None:
        """Build the search structures; nothing may be added afterwards."""
        pending = [self._root]
        while pending:
            pending.extend(pending.pop().freeze())

    def unbounded(self) -> tuple[Leaf, ...]:
        """Return the leaves that are candidates for every path."""
        return self._root.unbounded()

    def candidates(self, path: str) -> Sequence[Leaf]:
        """Return, in order, at least every leaf with a shape that *path* fits; *path* must not contain a line feed."""
        found: list[Leaf] = []
        segments = path.split("/", self._depth)
        branches = [(self._root, 0)]
        while branches:
            node, place = branches.pop()
            end = node.descend(path, segments, place, branches, found)
            if end is not None and end.ends is not None:
                end.ends.collect(path, found)
        if len(found) > 1:
            return sorted(set(found), key=_ORDER)
        return found


class _Node(Generic[Leaf]):
    """A node of the tree, reached by some whole segments."""

    __slots__ = ("_deep", "_mixed", "deep", "ends", "is_open", "literal", "mixed", "wild")

    def __init__(self) -> None:
        self.literal: dict[str, _Node[Leaf]] = {}
        self.wild: _Node[Leaf] | None = None
        self.ends: _Place[Leaf] | None = None
        self.mixed: Edges[_Node[Leaf]] | None = None
        self.deep: Edges[_Place[Leaf]] | None = None
        self.is_open = False
        self._mixed: dict[tuple[str, str], _Node[Leaf]] = {}
        self._deep: dict[tuple[str, str], _Place[Leaf]] = {}

    def child_for(self, segment: Sequence[str | Gap]) -> "_Node[Leaf]":
        first, last = segment[0], segment[-1]
        if len(segment) == 1 and isinstance(first, str):
            return self.literal.setdefault(first, _Node())
        edges = _edge(first), _edge(last)
        if edges == ("", ""):
            self.wild = self.wild or _Node()
            return self.wild
        return self._mixed.setdefault(edges, _Node())

    def add_end(self, leaf: Leaf, shape: Shape) -> None:
        self.ends = self.ends or _Place()
        self.ends.add(leaf, shape)

    def add_deep(self, opening: str, ending: str, leaf: Leaf, shape: Shape) -> None:
        self._deep.setdefault((opening, ending), _Place()).add(leaf, shape)

    def unbounded(self) -> tuple[Leaf, ...]:
        place = self._deep.get(("", ""))
        return place.plain if place is not None else ()

    def freeze(self) -> list["_Node[Leaf]"]:
        """Build the search structures of this node; return the nodes below."""
        for place in (*self._deep.values(), *([self.ends] if self.ends else [])):
            place.freeze()
        self.mixed = Edges((*edges, node) for edges, node in self._mixed.items()) if self._mixed else None
        self.deep = Edges((*edges, place) for edges, place in self._deep.items()) if self._deep else None
        self.is_open = bool(self.wild or self._mixed or self._deep)
        return [*self.literal.values(), *self._mixed.values(), *([self.wild] if self.wild else [])]

    def descend(
        self,
        path: str,
        segments: Sequence[str],
        place: int,
        branches: list[tuple["_Node[Leaf]", int]],
        found: list[Leaf],
    ) -> "_Node[Leaf] | None":
        """Follow *segments* from *place* along one branch; add the other branches to *branches*.

        Returns:
            The node of the last segment; None if the branch ended before.
        """
        node: _Node[Leaf] = self
        # PERF: one loop for the common case, a single branch; a call for each segment costs a third more
        for segment in segments[place:] if place else segments:
            child = node.literal.get(segment)
            place += 1
            if node.is_open:
                if node.deep is not None:
                    node.collect_deep(segment, path, found)
                if node.mixed is not None:
                    more: list[_Node[Leaf]] = []
                    node.mixed.find(segment, segment, more)
                    branches += [(each, place) for each in more]
                if child is None:
                    child = node.wild
                elif node.wild is not None:
                    branches.append((node.wild, place))
            if child is None:
                return None
            node = child
        return node

    def collect_deep(self, segment: str, path: str, found: list[Leaf]) -> None:
        places: list[_Place[Leaf]] = []
        assert self.deep is not None
        self.deep.find(segment, path, places)
        for place in places:
            place.collect(path, found)


class _Place(Generic[Leaf]):
    """The leaves of one node: some always candidates, others only if the path contains their inner literal."""

    __slots__ = ("_entries", "_inner", "plain")

    def __init__(self) -> None:
        self._entries: list[tuple[Leaf, Shape]] = []
        self._inner: Inner[Leaf] | None = None
        self.plain: tuple[Leaf, ...] = ()

    def add(self, leaf: Leaf, shape: Shape) -> None:
        self._entries.append((leaf, shape))

    def freeze(self) -> None:
        entries, self._entries = self._entries, []
        uses = Counter(text for _, shape in entries for text in set(_texts(shape)))
        plain: list[Leaf] = []
        inner: list[tuple[str, Leaf]] = []
        for leaf, shape in entries:
            text = min(_texts(shape), key=lambda text: (uses[text], -len(text)), default="")
            if text and uses[text] * 2 <= len(entries) > MAX_PLAIN:
                inner.append((text, leaf))
            else:
                plain.append(leaf)
        self.plain = tuple(plain)
        self._inner = Inner(inner) if inner else None

    def collect(self, path: str, found: list[Leaf]) -> None:
        found += self.plain
        if self._inner is not None:
            self._inner.find(path, found)


def _segments(shape: Shape) -> tuple[list[list[str | Gap]], str | None]:
    """Split *shape* at its slashes, up to the first gap that may cross one.

    Returns:
        The segments, each a non-empty list of literals and gaps, and None; or, if a gap crosses, the segments
        up to and including its own, and the literal that must end the path ("" for any).
    """
    segments: list[list[str | Gap]] = [[]]
    for item in shape.items:
        if item is Gap.ACROSS:
            last = shape.items[-1]
            segments[-1].append(item)
            return [segment or [""] for segment in segments], last if isinstance(last, str) else ""
        if isinstance(item, Gap):
            segments[-1].append(item)
            continue
        first, *more = item.split("/")
        if first:
            segments[-1].append(first)
        segments.extend([text] if text else [] for text in more)
    return [segment or [""] for segment in segments], None


def _edge(item: str | Gap) -> str:
    return item if isinstance(item, str) else ""


def _texts(shape: Shape) -> list[str]:
    return [item for item in shape.items if isinstance(item, str)]
