"""`$name` in SQL text: always a bound value, never evaluated, never text.

    $name   $name.attr   $name[3]   $name[key]   $name['key']   ${name.attr}x   $$ (a dollar sign)

A `$` before anything else, such as `$1`, stays. A bare word in brackets is the key itself, as in `str.format`.
Names that begin with an underscore, and methods, are out of reach. Begin with `reparam`.
"""

import re
from collections.abc import Mapping
from typing import Any

from torngas_aio.db.basedb.sql import SQLQuery, sqlquote
from torngas_aio.exception import ArgumentError

__all__ = ["reparam"]

_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:-?\d+|\w+|'[^'\]]*'|\"[^\"\]]*\")\])*"
_MARK = re.compile(rf"\$(?:(\$)|({_PATH})|\{{({_PATH})\}}|(\{{))")
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(?:(-?\d+)|(\w+)|'([^']*)'|\"([^\"]*)\")\]")
_NAME = re.compile(r"[A-Za-z_]\w*")


def reparam(text: Any, variables: Mapping[str, Any] | None) -> SQLQuery:
    """Return *text* with each `$name` bound to its value in *variables*.

    A list, tuple or set becomes `(?, ?, ?)`; an `SQLLiteral` or `SQLQuery` is put in as it is. *text* that is a
    statement already is returned unchanged.

    Raises:
        ArgumentError: A name is missing or out of reach, or a mark stands inside quotes.
    """
    if isinstance(text, SQLQuery):
        return text
    if not isinstance(text, str):
        return SQLQuery(text)
    found = SQLQuery()
    position = quotes = 0
    for mark in _MARK.finditer(text):
        before = text[position : mark.start()]
        quotes += before.count("'")
        if before:
            found.append(before)
        position = mark.end()
        path = mark[2] or mark[3]
        if mark[1]:
            found.append("$")
        elif path is None:
            raise ArgumentError(f"{text[mark.start() :][:40]!r}: only names stand in ${{…}}; nothing is evaluated.")
        elif quotes % 2:
            raise ArgumentError(f"${path} stands inside quotes. Take the quotes away: the value is bound, not pasted.")
        else:
            found.append(sqlquote(_looked_up(path, variables or {})))
    if position < len(text):
        found.append(text[position:])
    return found


def _looked_up(path: str, variables: Mapping[str, Any]) -> Any:
    name = _NAME.match(path)
    assert name is not None
    if name[0] not in variables:
        raise ArgumentError(f"${path}: no {name[0]!r} was given; there is {sorted(variables)!r}.")
    value = variables[name[0]]
    for step in _STEP.finditer(path, name.end()):
        value = _step(value, step, path)
    if callable(value) and not isinstance(value, type(SQLQuery)):
        raise ArgumentError(f"${path} is a function or method, not a value; nothing is called.")
    return value


def _step(value: Any, step: re.Match[str], path: str) -> Any:
    attribute, number, word, single, double = step.groups()
    try:
        if attribute is not None:
            if attribute.startswith("_"):
                raise ArgumentError(f"${path}: {attribute!r} is private and out of reach.")
            return getattr(value, attribute)
        if number is not None:
            return value[_index(value, number)]
        return value[next(key for key in (word, single, double) if key is not None)]
    except (AttributeError, LookupError, TypeError) as exc:
        if isinstance(exc, ArgumentError):
            raise
        raise ArgumentError(f"${path}: {type(value).__name__} has no {step[0]!r}.") from exc


def _index(value: Any, number: str) -> int | str:
    return number if isinstance(value, Mapping) and int(number) not in value else int(number)
