"""Masking of secrets on error pages, and safe conversion of values to text.

secret names                 their values are masked at any depth: in mappings, in pairs, in parameters next to a SQL
                             statement (`torngas_aio._masking` has the names)
text with `key=...`          masked within the text; passwords in URLs too
hostile `__repr__`           raising, huge or endless ones are limited in time and length
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
    """Return this thread's CPU seconds plus an eighth of the elapsed seconds.

    Elapsed time alone would be used up by other programs on a busy machine; its share limits a value that sleeps.
    """
    return time.thread_time() + time.monotonic() / 8


def printable(text: str) -> str:
    """Return *text* with control and other unprintable characters as hexadecimal escapes."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


class Showing:
    """A converter of the values of one page to text, within a time budget.

    Args:
        seconds: Budget for all values together, measured by `_clock`; afterwards only the type of a value is shown.
        max_chars: Maximum length of one value's text.
    """

    def __init__(self, seconds: float = 0.5, max_chars: int = 700) -> None:
        self._until = _clock() + seconds
        self._max_chars = max_chars

    def text(self, value: Any, name: object = None) -> str:
        """Return *value* as text, masked if *name* or a name within it is secret. Never raises."""
        if is_secret(name) and value is not None and not isinstance(value, bool):
            return MASK
        shown = self._any(value, 0)
        return mask_text(shown if len(shown) <= self._max_chars else f"{shown[: self._max_chars]}… (cut)")

    def message(self, error: object) -> str:
        """Return `str(error)`, masked. Never raises."""
        return mask_text(self._bounded(lambda: str(error), error, "str"))

    def items(self, values: Mapping[Any, object]) -> list[tuple[str, str]]:
        """Return names and values of a mapping as text, in order.

        Lists and tuples with names such as `parameters` are masked if another value is a SQL statement with a secret
        name, since they hold the values of its columns.
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
            # Subclasses of dict, list and sets too, so that their content is masked by name; not of tuple.
            if kind is base or (base is not tuple and issubclass(kind, base)):
                return self._container(value, base, depth)
        return self._bounded(lambda: repr(value), value, "repr")

    def _container(self, value: Any, base: Any, depth: int) -> str:
        opening, closing = _BRACKETS[base]
        size = base.__len__(value)  # the builtin's methods: those of a subclass cannot be trusted
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
        """Return the result of *make* within the time limit, else a text about the failure."""
        name = _type_name(value)
        left = min(_REPR_SECONDS, self._until - _clock())
        if left <= 0:
            return f"<{name}: not shown, the time for showing values was used up>"
        before = sys.gettrace()
        # Set inline, not in a function: another tracer must see the end of each frame whose start it saw.
        sys.settrace(_TimeLimit(left))
        try:
            made = make()
        except KeyboardInterrupt:
            raise
        except _TooSlow:
            return f"<{name}: its {what} takes too long>"
        except BaseException as exc:  # noqa: BLE001 - a boundary: a value may raise anything
            return f"<{name}: its {what} raised {type(exc).__name__}>"
        finally:
            sys.settrace(before)
            _wake()
        # The result may be a subclass of str with wrong methods; `str.__getitem__` returns a plain str.
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
"""Modules whose functions the garbage collector calls at arbitrary times."""


class _TimeLimit:
    """A trace function that stops Python code after *seconds*; it cannot interrupt a blocking C call."""

    def __init__(self, seconds: float) -> None:
        self._until = _clock() + seconds

    def __call__(self, frame: FrameType, _event: str, _arg: object) -> Any:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") in _COLLECTED_BY:
            return None  # called by the interpreter between two instructions, which ignores exceptions here
        frame.f_trace_opcodes = True  # `while True: pass` never reaches a new line
        if _clock() > self._until:
            raise _TooSlow
        return self


def _wake() -> None:
    """Do nothing; the call makes a restored debugger or coverage tracer resume."""


def _type_name(value: object) -> str:
    kind = type(value)
    name = type.__getattribute__(kind, "__qualname__")
    return str(name)
