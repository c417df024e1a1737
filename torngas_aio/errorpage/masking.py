"""What must not be seen on an error page, and how the rest is turned to text safely.

names that sound secret      their values are masked, at any depth (`torngas_aio._masking` knows them): of mappings,
                             of pairs, of parameters beside a SQL statement
text that holds `key=...`    masked within the text; passwords in URLs too
values with a hostile repr   raising, huge, endless: each costs a bounded time and length
"""

import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

from torngas_aio._masking import MASK, is_secret, mask_text, names_secret
from torngas_aio.utils.narrowing import class_of

__all__ = ["MASK", "Showing", "is_secret", "mask_text", "printable"]

_MAX_ITEMS = 20
_MAX_DEPTH = 4
_REPR_SECONDS = 0.05


def _clock() -> float:
    """Tell the seconds of this thread's work, and an eighth of those that pass, for a value that sleeps.

    On a busy machine the time that passes would be used up by other programs.
    """
    return time.thread_time() + time.monotonic() / 8


def printable(text: str) -> str:
    """Return *text* with characters that no page can carry, or that command a terminal, shown by number."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


class Showing:
    """Turns the values of one page to text, within one budget of time.

    Args:
        seconds: By `_clock`, for all values together; what comes later is named by its type only.
        max_chars: Length of one value's text.
    """

    def __init__(self, seconds: float = 0.5, max_chars: int = 700) -> None:
        self._until = _clock() + seconds
        self._max_chars = max_chars

    def text(self, value: Any, name: object = None) -> str:
        """Return *value* as text, masked if *name* or its own text sounds secret. Raises nothing."""
        if is_secret(name) and value is not None and not isinstance(value, bool):
            return MASK
        shown = self._any(value, 0)
        return mask_text(shown if len(shown) <= self._max_chars else f"{shown[: self._max_chars]}… (cut)")

    def message(self, error: object) -> str:
        """Return what `str(error)` says, masked. Raises nothing."""
        return mask_text(self._bounded(lambda: str(error), error, "str"))

    def items(self, values: Mapping[Any, object]) -> list[tuple[str, str]]:
        """Return names and texts of a mapping's values, in its order.

        Lists and tuples that go by such a name as `parameters` are masked where a text beside them is a SQL
        statement that names a secret: they hold the values of its columns.
        """
        hides = any(type(value) is str and _SQL.match(value) and names_secret(value) for value in values.values())
        return [
            (str(name), MASK if hides and name in _PARAMETERS and _is_list(value) else self.text(value, name))
            for name, value in values.items()
        ]

    def _any(self, value: Any, depth: int) -> str:
        kind = class_of(value)
        if kind is str or kind is bytes:
            cut = value[: self._max_chars - 100]
            return repr(cut) + (f"… ({len(value)} in all)" if len(value) > len(cut) else "")
        if kind is int and value.bit_length() > 2048:
            return f"<int of {value.bit_length()} bits>"
        for base in _BRACKETS if kind is not tuple else (tuple,):
            # A dict or list of a class of its own too, so that what lies in it is masked by name; not a named tuple.
            if kind is base or (base is not tuple and issubclass(kind, base)):
                return self._container(value, base, depth)
        return self._bounded(lambda: repr(value), value, "repr")

    def _container(self, value: Any, base: Any, depth: int) -> str:
        opening, closing = _BRACKETS[base]
        size = base.__len__(value)  # the builtin's own methods: a subclass might answer anything
        if depth >= _MAX_DEPTH and size:
            return f"{opening}…{closing}"
        is_dict = base is dict
        iterate: Callable[[Any], Iterable[Any]] = dict[Any, Any].items if is_dict else base.__iter__
        if size == 2 and base in {list, tuple} and is_secret(first := next(iter(iterate(value)))):
            return f"{opening}{self._any(first, depth + 1)}, {MASK}{closing}"
        parts: list[str] = []
        length = 0
        for item in itertools.islice(iterate(value), _MAX_ITEMS):
            parts.append(self._pair(item, depth) if is_dict else self._any(item, depth + 1))
            length += len(parts[-1])
            if length > self._max_chars:
                break
        if len(parts) < size:
            parts.append(f"… ({size} in all)")
        return f"{opening}{', '.join(parts)}{closing}"

    def _pair(self, item: tuple[object, object], depth: int) -> str:
        key, value = item
        return f"{self._any(key, depth + 1)}: {MASK if is_secret(key) else self._any(value, depth + 1)}"

    def _bounded(self, make: Callable[[], str], value: object, what: str) -> str:
        """The text that *make* gives, if it gives one in time."""
        name = _type_name(value)
        left = min(_REPR_SECONDS, self._until - _clock())
        if left <= 0:
            return f"<{name}: not shown, the time for showing values was used up>"
        before = sys.gettrace()
        # Set here and not in a function of its own: a tracer must see each frame that it saw begin also end.
        sys.settrace(_TimeLimit(left))
        try:
            made = make()
        except KeyboardInterrupt:
            raise
        except _TooSlow:
            return f"<{name}: its {what} takes too long>"
        except BaseException as exc:  # noqa: BLE001 - a value may raise anything at all; the page must come
            return f"<{name}: its {what} raised {type(exc).__name__}>"
        finally:
            sys.settrace(before)
            _wake()
        # A subclass of str could answer any of its methods wrongly; a slice by str itself is a plain one.
        return str.__getitem__(made, slice(0, self._max_chars + 1))


_SQL = re.compile(r"\s*(?:select|insert|update|delete|replace|with|merge|call|exec)\b", re.IGNORECASE)
_PARAMETERS = frozenset({"args", "arguments", "parameters", "params", "multiparams", "values", "bind", "binds"})


def _is_list(value: object) -> bool:
    return type(value) in {list, tuple}


_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"), list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("frozenset({", "})"),
}  # fmt: skip


class _TooSlow(BaseException):
    pass


_COLLECTED_BY = ("weakref", "_weakrefset")
"""Modules whose functions run when an object dies, whatever else runs then."""


class _TimeLimit:
    """A trace function that stops Python code which runs longer than *seconds*; one blocking C call it cannot stop."""

    def __init__(self, seconds: float) -> None:
        self._until = _clock() + seconds

    def __call__(self, frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") in _COLLECTED_BY:
            return None  # the interpreter called it between two steps, and drops what it raises
        frame.f_trace_opcodes = True  # `while True: pass` is one instruction, and never comes to a new line
        if _clock() > self._until:
            raise _TooSlow
        return self


def _wake() -> None:
    """Do nothing; the call lets a debugger or coverage, put back just before, take up its work."""


def _type_name(value: object) -> str:
    kind = type(value)
    name = type.__getattribute__(kind, "__qualname__")
    return str(name)
