"""Utilities used by many packages.

    text.py        safestr  safeunicode  escape_controls  quote_field; names of methods, headers and parameters
    former.py      Null  iterbetter  request_context  sleep
    numbers.py     strict parsing of numbers in untrusted text
    bounded.py     a cache for keys chosen by clients, bounded in bytes
    hosts.py       host names and IP addresses, and the patterns and networks of settings
    narrowing.py   type guards
    kinds.py       checks of values, composed to the shape of a setting
    environment.py settings from environment variables
    redirects.py   is_safe_redirect  safe_redirect_target

Import the names in `__all__` from `torngas_aio.utils`.
"""

from functools import cached_property

from torngas_aio._former_names import former_names
from torngas_aio.utils.former import IterBetter, Null, iterbetter, request_context, sleep
from torngas_aio.utils.redirects import is_safe_redirect, safe_redirect_target
from torngas_aio.utils.text import escape_controls, quote_field, safestr, safeunicode

__all__ = [
    "IterBetter",
    "Null",
    "cached_property",
    "escape_controls",
    "is_safe_redirect",
    "iterbetter",
    "quote_field",
    "request_context",
    "safe_redirect_target",
    "safestr",
    "safeunicode",
    "sleep",
]

__getattr__ = former_names(__name__)
