"""Secrets within names, texts and URLs, replaced before anything is shown.

    is_secret("db_password")                   a name whose value must not be shown
    mask_text("... redis://:pw@host ...")      any text: passwords in URLs, values behind secret-sounding names
    mask_url("redis://:p/w@host")              a text that is one URL or address, however badly formed
    show_setting({"PASSWD": "pw"})             a setting's value for an error message

Begin with `show_setting`; `torngas_aio.errorpage.masking` shows values of any kind.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "is_secret", "mask_text", "mask_url", "mask_urls", "show_setting"]

MASK = "••••••••"

_WORDS = (
    r"pass(?:phrase)?|pwd?|api[_-]?key|auth(?:orization)?|credential|cookie|csrf|xsrf|sess(?:ion)?[_-]?(?:id|key)"
    r"|signature|private[_-]?key|access[_-]?key|salt|dsn|otp|cvv|cvc|card[_-]?(?:no|number)|iban|ssn"
)
_ANYWHERE = r"password|passwd|secret|token|api_?key"
_SECRET = re.compile(rf"(?:^|[^a-z])(?:{_WORDS})s?(?:$|[^a-z])|{_ANYWHERE}", re.IGNORECASE)
# The look-behind keeps the search linear: a long word is tried from its start only.
_IN_TEXT = re.compile(
    rf"(?P<name>(?<![\w.-])[\w.-]*(?:{_ANYWHERE}|authorization|credential|csrf|xsrf|private_key)[\w.-]*[\"']?"
    r"(?:\s*:[\w.\[\]|, ]+?(?=\s*=[^=]))?\s*[=:]\s*)"
    r"(?:[bru]?\"[^\"]*\"|[bru]?'[^']*'|(?:(?:Bearer|Basic|Token) )?[^\s,;&)\]}<>\"']+)",
    re.IGNORECASE,
)
# A password may hold '@', and '/' although it should be quoted; digits before a '/' are a port. The bound keeps the
# search linear.
_IN_URL = re.compile(
    r"(?P<start>\b[a-z][a-z0-9+.-]*://[^\s/:@\[]*:)(?:[^\s/]{1,512}|(?!\d*/)[^\s\"',]{1,512})(?=@)", re.IGNORECASE
)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_IN_QUERY = re.compile(r"(?P<name>[?&;](?P<key>[^=&;#]*)=)[^&;#]*")


def is_secret(name: object) -> bool:
    """Whether what goes by *name* should not be seen."""
    return isinstance(name, str) and _SECRET.search(name) is not None


def mask_text(text: str) -> str:
    """Return *text* with passwords in URLs and values behind secret-sounding names masked."""
    return _IN_TEXT.sub(rf"\g<name>{MASK}", mask_urls(text))


def mask_urls(text: str) -> str:
    """Return *text* with passwords in URLs masked, and nothing else: "using password: YES" stays."""
    return _IN_URL.sub(rf"\g<start>{MASK}", text)


def mask_url(url: str) -> str:
    """Return *url* with its password masked, and the values of its query whose names sound secret.

    Takes whatever was meant as a URL or as `user:password@host`: without a scheme or host, with '/', '@' or '#' in
    the password, with several hosts. What stands between the user's ':' and the last '@' counts as password.
    """
    head, at, place = url.rpartition("@")
    scheme = _SCHEME.match(head)
    user, colon, _ = head[scheme.end() if scheme else 0 :].partition(":")
    if at and colon:
        url = f"{scheme[0] if scheme else ''}{user}:{MASK}@{place}"
    return _IN_QUERY.sub(lambda found: found["name"] + MASK if is_secret(found["key"]) else found[0], url)


def show_setting(value: Any, name: object = None) -> str:
    """Return `repr(value)` of a setting without its secrets, for a message.

    Args:
        value: Strings are masked as URLs, also within lists, tuples and dicts.
        name: The setting's key; where it sounds secret, only None is shown.
    """
    if value is not None and is_secret(name):
        return MASK
    if isinstance(value, str):
        return repr(mask_url(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {show_setting(each, key)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(show_setting(each) for each in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return mask_text(repr(value))
