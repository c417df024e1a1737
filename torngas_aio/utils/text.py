"""Conversion and escaping of text; names of methods, headers and parameters.

Log lines are escaped by `escape_controls`, client data in them by `quote_field`.
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

# C0, DEL and C1 controls, the line separators of `str.splitlines`, bidirectional marks, and lone surrogates, which
# cannot be encoded.
_CONTROL_SET = "\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[{_CONTROL_SET}]")
# Characters that could end a field of a log line: controls, spaces, quotation marks, and the backslash.
_FIELD_ENDS = re.compile(rf"""[\s"'\\{_CONTROL_SET}]""")
_is_plain_field = re.compile(r"[!#-&(-\[\]-~]*").fullmatch
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - no password
"""A regular expression for the name of a method, a header or a parameter (RFC 9110 5.6.2)."""

is_token = re.compile(TOKEN).fullmatch
is_token_bytes = re.compile(TOKEN.encode()).fullmatch


def safestr(obj: object, encoding: str = "utf-8") -> str:
    """Return *obj* as str: bytes are decoded, other objects converted by `str`.

    Raises:
        UnicodeDecodeError: The bytes are not valid in *encoding*.
    """
    if isinstance(obj, str):
        return obj
    if isinstance(obj, memoryview):
        obj = obj.tobytes()
    if isinstance(obj, bytes | bytearray):
        return obj.decode(encoding)
    return str(obj)


safeunicode = safestr
"""The second name in torngas 1.8; in Python 3 both are the same."""


def escape_controls(text: str) -> str:
    r"""Return *text* with control characters escaped, as `\n` or `\x1b`.

    Client data can then neither start a new line nor send commands to a terminal.
    """
    return _CONTROLS.sub(_escape, text)


def quote_field(text: str) -> str:
    r"""Return *text* as one field of a log line, with spaces, quotation marks and control characters escaped.

    `/a b` becomes `/a\x20b`; other text is returned unchanged.
    """
    # PERF: most fields are plain; `sub` costs 0.1 us more, a search for the excluded characters even more
    return text if _is_plain_field(text) else _FIELD_ENDS.sub(_escape, text)


def header_case(name: str) -> str:
    """Return the name of a header in Http-Header-Case, as in `HTTPHeaders`."""
    return "-".join(word.capitalize() for word in name.split("-"))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    return _NAMED.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
