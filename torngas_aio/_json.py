"""JSON encoding and decoding with the same results whichever library is installed.

    dumps       orjson, else the standard library; the same bytes from both, except for huge floats
    loads       orjson, else the standard library; both refuse NaN and lone surrogates, integers are exact
    parse_json  loads for untrusted input: bounded in size and depth
    jsonp       a script that passes the value to a named function

msgspec is not used for encoding: it converts bytes to base64, where these raise. Its Structs are supported.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping, Set
from itertools import accumulate
from typing import Any

from torngas_aio.exception import ArgumentError, InvalidJson, SerializationError
from torngas_aio.utils.narrowing import class_of, is_dict, is_list

try:
    import orjson as _orjson
except ImportError:  # without the extra `orjson`
    orjson: Any = None
else:
    orjson = _orjson

__all__ = ["JsonObject", "check_callback", "dumps", "jsonp", "loads", "parse_json"]

JsonObject = dict[str, Any]
"""A JSON object: values by member names."""

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 100
_BYTES_A_BRACKET = 5
_MAX_CALLBACK = 128


def dumps(value: Any, *, ensure_ascii: bool = True) -> bytes:
    """Return *value* as compact JSON in UTF-8.

    In addition to JSON's own types: dataclasses, enums (their value), dates and times (ISO 8601, UTC as `Z`), UUIDs
    and decimals (as text), mappings, sets and tuples, msgspec Structs, and objects with a `__json__()` method.
    NaN and infinities become null, as in JavaScript.

    Args:
        ensure_ascii: Escape other characters as `\\uXXXX`.

    Raises:
        SerializationError: A part cannot be encoded, such as an integer of more than 4,300 digits; the message names
            it, such as `$.user.tags[3]`.
    """
    body = _write(value)
    return _NON_ASCII.sub(_escaped, body.decode()).encode() if ensure_ascii and not body.isascii() else body


def loads(body: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidJson: It is not JSON (the message has line and column), not UTF-8, or has an integer of more than 4,300
            digits.
    """
    try:
        has_huge = _has_digits(body, _HUGE_DIGITS)  # orjson converts integers beyond 64 bits to floats
        return _standard_loads(body) if has_huge or orjson is None else orjson.loads(body)
    except RecursionError:
        raise InvalidJson("The JSON is nested too deeply.") from None
    except InvalidJson:
        raise
    except ValueError as exc:
        if not _is_utf8(body):
            raise InvalidJson("This is not valid JSON: it is not UTF-8.") from exc
        where = f" at line {exc.lineno}, column {exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
        raise InvalidJson(f"This is not valid JSON{where}.") from exc


def _is_utf8(body: bytes | str) -> bool:
    if isinstance(body, str):
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_size(size: int, max_bytes: int) -> None:
    """Raise InvalidJson 413 if *size* is above *max_bytes*."""
    if size > max_bytes:
        raise InvalidJson(f"The body is larger than the {max_bytes} bytes allowed.", 413)


def parse_json(body: bytes, *, max_bytes: int = MAX_BODY_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of an untrusted JSON text.

    Args:
        max_bytes: See `check_limits`, also for *max_depth*.

    Raises:
        InvalidJson: It is not JSON, empty, too large or too deep. The message may be shown to anyone.
    """
    check_limits(body, max_bytes, max_depth)
    body = body.removeprefix(b"\xef\xbb\xbf")  # SPEC: RFC 8259 8.1, a byte order mark may be ignored
    if not body.strip(b" \t\r\n"):
        raise InvalidJson("The body is empty; JSON was expected.")
    return loads(body)


def check_limits(body: bytes, max_bytes: int, max_depth: int) -> None:
    """Check a JSON text before it is parsed.

    Args:
        max_bytes: Larger bodies are refused (413), and so are bodies with more arrays and objects than a tenth of it:
            each needs at least 60 bytes of memory.
        max_depth: Maximum nesting of arrays and objects; `[[1]]` is 2 deep.

    Raises:
        InvalidJson: It is too large or too deep.
    """
    check_size(len(body), max_bytes)
    brackets = _brackets_of(body, max_depth)
    if not brackets:
        return
    if len(brackets) > max_bytes // _BYTES_A_BRACKET:
        raise InvalidJson("The JSON holds more arrays and objects than are allowed.", 413)
    if _is_deeper(brackets, max_depth):
        raise InvalidJson(f"The JSON is nested deeper than the {max_depth} levels allowed.")


def jsonp(callback: str, body: bytes) -> bytes:
    """Return a script that calls *callback* with the JSON *body*.

    Raises:
        ArgumentError: *callback* is not a path of JavaScript identifiers.
    """
    check_callback(callback)
    # Older engines end a string at U+2028 and U+2029. The comment keeps the caller from choosing the first bytes.
    safe = body.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029").replace(b"</", b"<\\/")
    return b"/**/" + callback.encode() + b"(" + safe + b");"


def check_callback(callback: str) -> str:
    """Return *callback*, a path such as `app.on_data` or `handlers[3]`.

    Raises:
        ArgumentError: It is anything else, or longer than 128 characters. The message may be shown.
    """
    if len(callback) > _MAX_CALLBACK or not all(map(_is_identifier, _INDEX.sub("", callback).split("."))):
        raise ArgumentError("The callback must be a path of JavaScript identifiers, such as 'app.on_data'.")
    return callback


_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_INDEX = re.compile(r"(?<=[\w$\]])\[\d{1,9}\](?=[.\[]|$)")
_STRINGS = re.compile(rb'"[^"]*"')
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_UP_AND_DOWN = bytes.maketrans(b"[]", b"\x01\xff")
_NOT_BRACKETS_OR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_RESERVED = frozenset(
    {
        "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else",
        "enum", "export", "extends", "false", "finally", "for", "function", "if", "implements", "import", "in",
        "instanceof", "interface", "let", "new", "null", "package", "private", "protected", "public", "return",
        "static", "super", "switch", "this", "throw", "true", "try", "typeof", "var", "void", "while", "with", "yield",
    }
)  # fmt: skip


def _is_identifier(name: str) -> bool:
    return name.replace("$", "_").isidentifier() and name not in _RESERVED


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _brackets_of(body: bytes, enough: int) -> bytes:
    """Return the brackets outside of strings, converted to square ones; b"" if at most *enough* of them open."""
    # PERF: `count` examines every byte, `replace` searches and stops: -0.9 us, of 200 KB -200 us (json-post)
    rest = body.replace(b"[", b"", enough + 1).replace(b"{", b"", enough + 1)
    if len(body) - len(rest) <= enough:
        return b""
    # Without escapes, quotes alternate between opening and closing a string. Adjacent strings become one.
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_BRACKETS_OR_QUOTES)
    return _STRINGS.sub(b"", plain.replace(b'""', b"")).translate(_ONE_KIND, b'"')


def _is_deeper(brackets: bytes, depth: int) -> bool:
    """Return whether *brackets* are nested deeper than *depth*; true also for some texts that are not JSON."""
    if not brackets:
        return False
    # Each innermost pair is one level. A parser stops at a closing bracket without an opening one.
    steps = memoryview(brackets.replace(b"[]", b"").translate(_UP_AND_DOWN)).cast("b")
    return max(accumulate(steps), default=0) >= depth


def _write(value: object) -> bytes:
    if orjson is not None:
        try:
            body: bytes = orjson.dumps(value, _default, _OPTIONS)
        except (TypeError, RecursionError):  # keys that are not text, huge integers, or an unsupported value
            pass
        else:
            return body
    return _standard_dumps(value)


_MAX_NESTING = 254  # orjson's own limit
_OPTIONS = 0 if orjson is None else orjson.OPT_UTC_Z


def _standard_dumps(value: object) -> bytes:
    try:
        body = _encoded(value)
    except (TypeError, ValueError, RecursionError):  # NaN, keys, or an unsupported value: convert step by step
        plain = _plain(value, "$", ())
    else:
        # The library's own depth limit depends on the Python version.
        if _is_deeper(_brackets_of(body, _MAX_NESTING), _MAX_NESTING):
            raise SerializationError(f"$ is nested too deeply for JSON: at most {_MAX_NESTING} levels are written.")
        return body
    try:
        return _encoded(plain)
    except UnicodeEncodeError as exc:
        raise SerializationError("A text holds a lone surrogate, which UTF-8 cannot carry.") from exc


def _encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode()


def _default(value: object) -> object:
    """Convert *value* one step towards JSON's types."""
    write = getattr(class_of(value), "__json__", None)
    if write is not None:
        return write(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if not name.startswith("_")}
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    fields = getattr(value, "__struct_fields__", None)  # msgspec.Struct
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _moment(value: dt.datetime) -> str:
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


_CONVERSIONS: tuple[tuple[type | tuple[type, ...], Callable[[Any], object]], ...] = (
    (enum.Enum, lambda value: value.value),
    (dt.datetime, _moment),
    ((dt.date, dt.time), lambda value: value.isoformat()),
    ((uuid.UUID, decimal.Decimal), str),
    (Mapping, dict),
    ((Set, tuple), list),
)


def _plain(value: object, path: str, above: tuple[int, ...]) -> object:
    """Return *value* converted to JSON's types; *path* is its location, *above* the ids of its containers."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return _writable(value, path)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if id(value) in above or len(above) >= _MAX_NESTING:
        raise SerializationError(f"{path} refers to what it lies in, or lies too deep for JSON.")
    above = (*above, id(value))
    if is_dict(value):
        return {_key(key, path): _plain(item, f"{path}.{key}", above) for key, item in value.items()}
    if is_list(value):
        return [_plain(item, f"{path}[{index}]", above) for index, item in enumerate(value)]
    try:
        step = _default(value)
    except TypeError:
        raise SerializationError(
            f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which JSON cannot represent. "
            "Turn it into text, numbers, lists or dicts, or give its class a `__json__` method."
        ) from None
    return _plain(step, path, above)


def _writable(number: int, path: str) -> int:
    if abs(number) >= _TOO_LONG:
        raise SerializationError(f"{path} is an integer of more than {_MAX_DIGITS} digits; write it as text.")
    return number


def _key(key: object, path: str) -> str | int | float | bool | None:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, int):
        return _writable(key, path)
    if key is None or isinstance(key, str | float):
        return key
    if isinstance(key, dt.date | dt.time | uuid.UUID):
        return str(_default(key))
    raise SerializationError(f"{path} has a key of type {type(key).__name__}, {key!r:.80}; JSON's keys are texts.")


def _standard_loads(body: bytes | str) -> object:
    text = body if isinstance(body, str) else body.decode()
    whole = _whole if _has_digits(text, _MAX_DIGITS) else None
    value = json.loads(text, parse_constant=_refuse_constant, parse_int=whole, parse_float=_finite)
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()  # raises for a lone surrogate now, instead of in the response
    return value


_HUGE_DIGITS = 18  # any integer of so many digits fits into 64 bits
_MAX_DIGITS = 4300  # the interpreter's default: converting more takes quadratic time
_TOO_LONG = 10**_MAX_DIGITS
_ONLY_DIGITS = bytes(48 if 48 <= code <= 57 else 32 for code in range(256))


def _has_digits(text: bytes | str, count: int) -> bool:
    """Return whether there are more than *count* consecutive digits, including strings and fractions."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    # PERF: every sixth byte is looked at first: so many digits cover `count // 6` of those (benchmarks, json-post)
    if raw[::6].translate(_ONLY_DIGITS).find(b"0" * (count // 6)) < 0:
        return False
    return raw.translate(_ONLY_DIGITS).find(b"0" * (count + 1)) >= 0


def _whole(digits: str) -> int:
    if len(digits.removeprefix("-")) > _MAX_DIGITS:
        raise InvalidJson(f"An integer has more than {_MAX_DIGITS} digits.")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("number out of range")
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
