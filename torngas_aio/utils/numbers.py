"""Strict parsing of numbers in untrusted text: a bounded number of ASCII digits, else None.

parse_whole      "0", "007"; no sign, space, underscore or non-ASCII digit, which `int` accepts
parse_integer    also "-3"
parse_quality    "0.5": the weight of an entry in an Accept header
"""

import re

__all__ = ["MAX_DIGITS", "parse_integer", "parse_quality", "parse_whole"]

MAX_DIGITS = 18
"""Default maximum number of digits: any number of 18 digits fits 64 bits."""

_is_quality = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?").fullmatch


def parse_whole(text: str | bytes, max_digits: int = MAX_DIGITS) -> int | None:
    """Return *text* as a number, 0 or more; None if it is invalid or has more than *max_digits* digits."""
    if len(text) <= max_digits and text.isdigit() and text.isascii():
        return int(text)
    return None


def parse_integer(text: str | bytes, max_digits: int = MAX_DIGITS) -> int | None:
    """Return *text* as a number, with or without a minus sign; None if it is invalid."""
    has_sign = text[:1] in ("-", b"-")
    number = parse_whole(text[1:] if has_sign else text, max_digits)
    return -number if has_sign and number is not None else number


def parse_quality(text: str) -> float | None:
    """Return the weight *text*, from 0 to 1 with three decimal places at most (SPEC: RFC 9110 12.4.2), or None."""
    return float(text) if _is_quality(text) else None
