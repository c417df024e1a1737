"""Which routes could match a path, found without asking each of them.

    /api/user/(\\d+)/photos      one step a segment: by its whole text, by its opening and ending, or by nothing
     └─ api ─ user ─ * ─ photos ■
    /static/(.*)\\.css           a gap that may cross slashes ends the steps: by what it opens and ends with
     └─ static ─ ... .css ■

A look-up costs a few dict hits a segment, however many routes there are. Routes that end up in one place (■) are
told apart by the literals between their gaps; where there are none, all of them are proposed. Begin with
`RouteTree.candidates`.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from torngas_aio.routing.shape import Gap, Shape

__all__ = ["RouteTree"]

MAX_PLAIN = 4
"""Up to how many leaves in one place it is cheaper to try them all than to look for their inner literals."""
_ORDER = attrgetter("order")


class Ordered(Hashable, Protocol):
    """A leaf of the tree: anything with a place in the order of declaration."""

    order: int


Leaf = TypeVar("Leaf", bound=Ordered)


class RouteTree(Generic[Leaf]):
    """Shapes and their leaves; fill it with `add`, then `freeze` it, then ask."""

    __slots__ = ("_depth", "_root")

    def __init__(self) -> None:
        self._root: _Node[Leaf] = _Node()
        self._depth = 1

    def add(self, shape: Shape, leaf: Leaf) -> None:
        """Have *leaf* proposed for every path that fits *shape*."""
        segments, tail = _segments(shape)
        self._depth = max(self._depth, len(segments))
        node = self._root
        for segment in segments if tail is None else segments[:-1]:
            node = node.child_for(segment)
        if tail is None:
            node.add_end(leaf, shape)
        else:
            opening = segments[-1][0]
            node.add_deep(opening if isinstance(opening, str) else "", tail, leaf, shape)

    def freeze(self) -> None:
        """Settle how each place is searched; nothing may be added afterwards."""
        pending = [self._root]
        while pending:
            pending.extend(pending.pop().freeze())

    def unbounded(self) -> tuple[Leaf, ...]:
        """The leaves that are proposed for every path."""
        return self._root.anything.plain

    def candidates(self, path: str) -> Sequence[Leaf]:
        """Return, in order, at least every leaf with a shape that *path* fits; *path* holds no line feed."""
        found: list[Leaf] = []
        nodes = [self._root]
        for segment in path.split("/", self._depth):
            following: list[_Node[Leaf]] = []
            for node in nodes:
                if node.has_deep:
                    node.collect_deep(segment, path, found)
                node.follow(segment, following)
            nodes = following
            if not nodes:
                break
        for node in nodes:
            if node.ends.count:
                node.ends.collect(path, found)
        if len(found) > 1:
            return sorted(set(found), key=_ORDER)
        return found


_Children = dict[tuple[str, str], "_Node[Leaf]"]


class _Node(Generic[Leaf]):
    """A place in the tree, after some whole segments."""

    __slots__ = ("_by_edges", "_deep", "anything", "deep", "ends", "has_deep", "literal", "mixed", "wild")

    def __init__(self) -> None:
        self.literal: dict[str, _Node[Leaf]] = {}
        self.wild: _Node[Leaf] | None = None
        self.ends: _Place[Leaf] = _Place()
        self.anything: _Place[Leaf] = _Place()
        self._by_edges: dict[tuple[int, int], _Children[Leaf]] = {}
        self._deep: dict[tuple[int, int], dict[tuple[str, str], _Place[Leaf]]] = {}
        self.mixed: tuple[tuple[int, int, _Children[Leaf]], ...] = ()
        self.deep: tuple[tuple[int, int, dict[tuple[str, str], _Place[Leaf]]], ...] = ()
        self.has_deep = False

    def child_for(self, segment: Sequence[str | Gap]) -> "_Node[Leaf]":
        first, last = segment[0], segment[-1]
        if len(segment) == 1 and isinstance(first, str):
            return self.literal.setdefault(first, _Node())
        opening = first if isinstance(first, str) else ""
        ending = last if isinstance(last, str) else ""
        if not opening and not ending:
            self.wild = self.wild or _Node()
            return self.wild
        children = self._by_edges.setdefault((len(opening), len(ending)), {})
        return children.setdefault((opening, ending), _Node())

    def add_end(self, leaf: Leaf, shape: Shape) -> None:
        self.ends.add(leaf, shape)

    def add_deep(self, opening: str, ending: str, leaf: Leaf, shape: Shape) -> None:
        if opening or ending:
            places = self._deep.setdefault((len(opening), len(ending)), {})
            places.setdefault((opening, ending), _Place()).add(leaf, shape)
        else:
            self.anything.add(leaf, shape)

    def freeze(self) -> list["_Node[Leaf]"]:
        """Settle this place; return the nodes below."""
        self.mixed = tuple((*sizes, children) for sizes, children in self._by_edges.items())
        self.deep = tuple((*sizes, places) for sizes, places in self._deep.items())
        self.has_deep = bool(self.deep or self.anything.count)
        for place in (self.ends, self.anything, *(place for *_, places in self.deep for place in places.values())):
            place.freeze()
        below = [child for *_, children in self.mixed for child in children.values()]
        return [*self.literal.values(), *below, *([self.wild] if self.wild else [])]

    def follow(self, segment: str, following: list["_Node[Leaf]"]) -> None:
        """Add the nodes that *segment* leads to."""
        child = self.literal.get(segment)
        if child is not None:
            following.append(child)
        if self.wild is not None:
            following.append(self.wild)
        for opening, ending, children in self.mixed:
            child = children.get((segment[:opening], segment[len(segment) - ending :]))
            if child is not None:
                following.append(child)

    def collect_deep(self, segment: str, path: str, found: list[Leaf]) -> None:
        if self.anything.count:
            self.anything.collect(path, found)
        for opening, ending, places in self.deep:
            place = places.get((segment[:opening], path[len(path) - ending :]))
            if place is not None:
                place.collect(path, found)


class _Place(Generic[Leaf]):
    """The leaves of one place: some always proposed, some only when the path holds their inner literal."""

    __slots__ = ("_by_text", "_entries", "_lengths", "count", "plain")

    def __init__(self) -> None:
        self._entries: list[tuple[Leaf, Shape]] = []
        self.count = 0
        self.plain: tuple[Leaf, ...] = ()
        self._by_text: dict[str, tuple[Leaf, ...]] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, leaf: Leaf, shape: Shape) -> None:
        self._entries.append((leaf, shape))
        self.count += 1

    def freeze(self) -> None:
        entries, self._entries = self._entries, []
        if len(entries) <= MAX_PLAIN:
            self.plain = tuple(leaf for leaf, _ in entries)
            return
        uses = Counter(text for _, shape in entries for text in set(_texts(shape)))
        by_text: dict[str, list[Leaf]] = {}
        plain: list[Leaf] = []
        for leaf, shape in entries:
            text = min(_texts(shape), key=lambda text: (uses[text], -len(text)), default="")
            if text and uses[text] * 2 <= len(entries):
                by_text.setdefault(text, []).append(leaf)
            else:
                plain.append(leaf)
        self.plain = tuple(plain)
        self._by_text = {text: tuple(leaves) for text, leaves in by_text.items()}
        self._lengths = tuple(sorted({len(text) for text in by_text}))

    def collect(self, path: str, found: list[Leaf]) -> None:
        found.extend(self.plain)
        for length in self._lengths:
            for start in range(len(path) - length + 1):
                leaves = self._by_text.get(path[start : start + length])
                if leaves is not None:
                    found.extend(leaves)


def _segments(shape: Shape) -> tuple[list[list[str | Gap]], str | None]:
    """Cut *shape* at its slashes, up to the first gap that may cross one.

    Returns:
        The segments, each a non-empty list of literals and gaps, and None; or, where a gap crosses, the segments
        up to and with the one it starts in, and the literal that must end the path ("" for any).
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


def _texts(shape: Shape) -> list[str]:
    return [item for item in shape.items if isinstance(item, str)]
