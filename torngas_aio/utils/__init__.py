"""Small tools that belong to no part and are used by many.

    text.py        safestr  safeunicode  escape_controls  quote_field; names of methods, headers and parameters
    former.py      Null  iterbetter  request_context  sleep
    numbers.py     numbers in text from outside, parsed strictly
    bounded.py     a cache whose keys clients choose
    hosts.py       host names and IP addresses, and the patterns and networks by which settings mean them
    narrowing.py   checks of a value's class that tell a type checker what it holds
    kinds.py       checks of one value, to be put together into the shape of a setting
    environment.py settings from environment variables
    redirects.py   is_safe_redirect  safe_redirect_target

What stands in `__all__` here is imported from `torngas_aio.utils`.
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
