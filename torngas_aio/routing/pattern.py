"""The form of a pattern's matches: literal text, and gaps that a group or class fills.

    /user/(\\d+)/photos/?   ->   "/user/"  WITHIN  "/photos"
                                "/user/"  WITHIN  "/photos/"
    /static/(.*)           ->   "/static/"  ACROSS

A shape fits every path that the pattern matches, and possibly others. An index built from shapes therefore returns
candidates, and the pattern itself decides.
"""

import enum
import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Gap", "Shape", "begins_with_word", "shapes_of"]

MAX_SHAPES = 32
"""Most shapes of one pattern (`/?` doubles their number, `(en|de)` too)."""
_SLASH = ord("/")


class Gap(enum.Enum):
    """Text that a shape does not determine."""

    WITHIN = "within one segment"
    ACROSS = "any text, slashes included"


class _Mark(enum.Enum):
    END = "nothing may follow"


_Item = str | Gap | _Mark
_Items = tuple[_Item, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Literals and gaps in the order of the path; adjacent literals are joined."""

    items: tuple[str | Gap, ...]

    @property
    def literal(self) -> str | None:
        """The only path that fits, if there is no gap; else None."""
        if any(isinstance(item, Gap) for item in self.items):
            return None
        return "".join(str(item) for item in self.items)


def shapes_of(regex: re.Pattern[str]) -> tuple[Shape, ...]:
    """Return shapes such that every path matched by `regex.match` fits at least one.

    Except paths that contain a line feed: there `$` matches before the end.
    """
    try:
        parsed = importlib.import_module("re._parser").parse(regex.pattern, regex.flags)
        unfolded = _sequences(parsed, regex.flags)
    except Exception:  # noqa: BLE001 - a private parser: if it fails, "might match" is always correct
        return (Shape((Gap.ACROSS,)),)
    return tuple(dict.fromkeys(Shape(_join(items)) for items in unfolded))


def begins_with_word(pattern: str, flags: int = 0) -> bool:
    """Return whether every match of *pattern* begins with a letter, a digit or `_`.

    False for a pattern that opens with `(?:` or another non-capturing group: its author has chosen the beginning.
    """
    if pattern.startswith("(?") and not pattern.startswith("(?P<"):
        return False
    shapes = shapes_of(re.compile(pattern, flags & re.VERBOSE))
    return all(bool(shape.items) and _is_word(shape.items[0]) for shape in shapes)


def _is_word(item: str | Gap) -> bool:
    return item is Gap.WITHIN if isinstance(item, Gap) else item[0].isalnum() or item[0] == "_"


def _sequences(parsed: Iterable[tuple[object, object]], flags: int) -> list[_Items]:
    """Return the alternatives for a sequence of parsed nodes, at most `MAX_SHAPES`."""
    ways: list[_Items] = [()]
    text = ""
    for operation, argument in parsed:
        options = _options(operation, argument, flags)
        if len(options) == 1 and len(options[0]) == 1 and isinstance(options[0][0], str):
            text += options[0][0]
            continue
        if len(ways) * len(options) > MAX_SHAPES:
            options = [(_gap_over(options),)]
        ways = [(*way, text, *option) if text else way + option for way in ways for option in options]
        text = ""
    return [(*way, text) for way in ways] if text else ways


def _options(operation: object, argument: object, flags: int) -> list[_Items]:
    """Return the alternatives for one parsed node; an unknown node may be any text."""
    read = _READERS.get(str(operation))
    return [(Gap.ACROSS,)] if read is None else read(argument, flags)


def _read_literal(code: int, flags: int) -> list[_Items]:
    if flags & re.IGNORECASE and code != _SLASH:
        return [(Gap.WITHIN,)]
    return [(chr(code),)]


def _read_other_than(code: int, _: int) -> list[_Items]:
    return [(Gap.WITHIN if code == _SLASH else Gap.ACROSS,)]


def _read_set(members: Sequence[tuple[object, object]], _: int) -> list[_Items]:
    return [(Gap.ACROSS if _set_has_slash(members) else Gap.WITHIN,)]


def _read_position(where: object, _: int) -> list[_Items]:
    return [(_Mark.END,)] if str(where) in {"AT_END", "AT_END_STRING"} else [()]


def _read_look_around(_: object, __: int) -> list[_Items]:
    return [()]  # zero width: ignoring it only adds candidates


def _read_group(argument: tuple[Any, int, int, Any], flags: int) -> list[_Items]:
    _, added, removed, inner = argument
    return _sequences(inner, (flags | added) & ~removed)


def _read_branches(argument: tuple[Any, list[Any]], flags: int) -> list[_Items]:
    return [way for branch in argument[1] for way in _sequences(branch, flags)]


def _read_repeat(argument: tuple[int, int, Any], flags: int) -> list[_Items]:
    least, most, inner = argument
    ways = _sequences(inner, flags)
    if (least, most) == (0, 1):
        return [(), *ways]
    return ways if least == most == 1 else [(_gap_over(ways),)]


_READERS: dict[str, Callable[[Any, int], list[_Items]]] = {
    "LITERAL": _read_literal,
    "NOT_LITERAL": _read_other_than,
    "IN": _read_set,
    "AT": _read_position,
    "ASSERT": _read_look_around,
    "ASSERT_NOT": _read_look_around,
    "SUBPATTERN": _read_group,
    "ATOMIC_GROUP": _sequences,
    "BRANCH": _read_branches,
    "MAX_REPEAT": _read_repeat,
    "MIN_REPEAT": _read_repeat,
    "POSSESSIVE_REPEAT": _read_repeat,
}


def _gap_over(ways: Sequence[_Items]) -> Gap:
    items = [item for way in ways for item in way]
    crosses = any(item is Gap.ACROSS or (isinstance(item, str) and "/" in item) for item in items)
    return Gap.ACROSS if crosses else Gap.WITHIN


def _set_has_slash(members: Sequence[tuple[object, object]]) -> bool:
    """Return whether a parsed `[...]` matches a slash."""
    is_negated = str(members[0][0]) == "NEGATE"
    return any(_has_slash(str(kind), value) for kind, value in members) is not is_negated


def _has_slash(kind: str, value: Any) -> bool:
    if kind == "LITERAL":
        return bool(value == _SLASH)
    if kind == "RANGE":
        return bool(value[0] <= _SLASH <= value[1])
    return kind == "CATEGORY" and "NOT" in str(value)  # \D \S \W match it, \d \s \w do not


def _join(items: _Items) -> tuple[str | Gap, ...]:
    """Join adjacent items, and append a gap unless the pattern is anchored at its end."""
    joined: list[str | Gap] = []
    for item in items:
        if isinstance(item, _Mark):
            continue
        if not joined or isinstance(item, str) is not isinstance(joined[-1], str):
            joined.append(item)
        elif isinstance(item, str):
            joined[-1] = f"{joined[-1]}{item}"
        elif item is Gap.ACROSS:
            joined[-1] = item
    if not items or items[-1] is not _Mark.END:
        if joined and isinstance(joined[-1], Gap):
            joined.pop()
        joined.append(Gap.ACROSS)
    return tuple(joined)
