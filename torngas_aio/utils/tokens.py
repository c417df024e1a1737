"""Tokens: names of methods, headers and parameters (RFC 9110 5.6.2)."""

import re

__all__ = ["TOKEN", "header_case", "is_token", "is_token_bytes"]

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - no password
"""A regular expression."""

is_token = re.compile(TOKEN).fullmatch
is_token_bytes = re.compile(TOKEN.encode()).fullmatch


def header_case(name: str) -> str:
    """Return the name of a header in Http-Header-Case, as `HTTPHeaders` keeps it."""
    return "-".join(word.capitalize() for word in name.split("-"))
