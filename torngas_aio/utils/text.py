"""Text out of whatever comes: bytes, numbers, hostile input; names of methods, headers and parameters.

Every line of a log goes through `escape_controls`, what a client chose in it through `quote_field`.
"""

import re

__all__ = [
    "TOKEN",
    "escape_controls",
    "header_case",
    "is_token",
    "is_token_bytes",
    "quote_field",
    "safestr",
    "safeunicode",
]

# C0, DEL and C1 controls, the separators that end a line for `str.splitlines`, the marks that reorder
# what a terminal shows, and lone surrogates, which no encoder takes.
_CONTROL_SET = "\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[{_CONTROL_SET}]")
# What could end a field of a log line: these, every kind of space, quotation marks, and the escape itself.
_FIELD_ENDS = re.compile(rf"""[\s"'\\{_CONTROL_SET}]""")
_is_plain_field = re.compile(r"[!#-&(-\[\]-~]*").fullmatch
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - no password
"""A regular expression: the name of a method, a header or a parameter (RFC 9110 5.6.2)."""

is_token = re.compile(TOKEN).fullmatch
is_token_bytes = re.compile(TOKEN.encode()).fullmatch


def safestr(obj: object, encoding: str = "utf-8") -> str:
    """Return *obj* as text: text as it is, bytes decoded, the rest by `str`.

    Raises:
        UnicodeDecodeError: Bytes that are not in *encoding*.
    """
    if isinstance(obj, str):
        return obj
    if isinstance(obj, memoryview):
        obj = obj.tobytes()
    if isinstance(obj, bytes | bytearray):
        return obj.decode(encoding)
    return str(obj)


safeunicode = safestr
"""In Python 3 text is Unicode: the two names of torngas 1.8 have become one function."""


def escape_controls(text: str) -> str:
    r"""Return *text* with every control character written out, as `\n` or `\x1b`.

    What a client sends can then neither begin a line of its own nor speak to the terminal.
    """
    return _CONTROLS.sub(_escape, text)


def quote_field(text: str) -> str:
    r"""Return *text* as one field of a log line: no space, quotation mark or control character is left raw.

    `/a b` becomes `/a\x20b`; text without such characters is returned as it is.
    """
    # PERF: most fields are plain; `sub` costs 0.1 us more, the class that excludes more still
    return text if _is_plain_field(text) else _FIELD_ENDS.sub(_escape, text)


def header_case(name: str) -> str:
    """Return the name of a header in Http-Header-Case, as `HTTPHeaders` keeps it."""
    return "-".join(word.capitalize() for word in name.split("-"))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
