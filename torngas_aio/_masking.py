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

__all__ = ["MASK", "is_secret", "mask_text", "mask_url", "mask_urls", "names_secret", "show_setting"]

MASK = "••••••••"

_WORDS = frozenset(
    "apikey auth authorization bearer cookie cred csrf cvc cvv dsn hmac iban jwt otp pass passcode passphrase "  # noqa: SIM905
    "pepper pin psk psw pw pwd salt sid sig signature ssn totp xsrf".split()
)
_ANYWHERE = re.compile(
    r"passw|secret|token|api_?key|credential|sess(?:ion)?id|(?:^|[^a-z])(?:user|db|root|admin)(?:pass|pwd?)(?:$|[^a-z])",
    re.IGNORECASE,
)
_PAIRS = frozenset({("card", "no"), ("card", "number"), ("sess", "id"), ("session", "id")})
# A key is a secret unless it is a column's, a mapping's or one that everyone may have.
_OPEN_KEYS = frozenset(
    "cache candidate composite dict duplicate field foreign group has idempotency index item lookup map message "  # noqa: SIM905
    "missing natural object order partition primary public sort unique unknown".split()
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# A name and what stands before its value: `name=`, `name: `, `name: str = `, `"name": `, `("name", `. The look-behind
# keeps the search linear: a long word is tried from its start only.
_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]++)[\"']?(?:\s*:[\w.\[\]|, ]{1,100}?(?=\s*=[^=]))?\s*[=:]\s*"
    r"|[(\[][bru]?[\"'](?P<first>[\w.-]+)[\"']\s*,\s*(?=[bru]?[\"'])"
)
_VALUE = re.compile(
    r"[bru]{0,2}\"(?:[^\"\\]|\\.)*\"|[bru]{0,2}'(?:[^'\\]|\\.)*'|(?:(?:Bearer|Basic|Token) )?[^\s,;&)\]}<>\"']+",
    re.IGNORECASE | re.DOTALL,
)
# A password may hold '@', and '/' although it should be quoted; digits before a '/' are a port. The bound keeps the
# search linear.
_IN_URL = re.compile(
    r"(?P<start>(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s/:@\[]*:)(?:[^\s/]{1,512}|(?!\d*/)[^\s\"',]{1,512})(?=@)",
    re.IGNORECASE,
)
_POSITIONAL = re.compile(r"(?P<sql>\[SQL: (?:(?!\[SQL: ).)*?\]\s*)\[parameters: [(\[](?!\{)[^\n]*", re.DOTALL)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_SQL_NAME = re.compile(r"\w+")
_IN_QUERY = re.compile(r"(?P<name>[?&;](?P<key>[^?=&;#]*)=)[^&;#]*")


def is_secret(name: object) -> bool:
    """Whether what goes by *name* should not be seen: one of its words, in any position, names a secret.

    Words end at capitals and at whatever is not a letter: `dbPassword`, `STRIPE_KEY`, `x-jwt-old`.
    """
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str):
        return False
    if _ANYWHERE.search(name):
        return True
    last = ""
    for found in _WORD.findall(name):
        word = found.lower()
        single = word.removesuffix("s")
        if word in _WORDS or single in _WORDS or (last, single) in _PAIRS:
            return True
        if single == "key" and last and last not in _OPEN_KEYS:
            return True
        last = word
    return False


def mask_text(text: str) -> str:
    """Return *text* with passwords in URLs and values behind secret-sounding names masked.

    The positional parameters of SQLAlchemy's messages are masked where the statement names a secret column.
    """
    text = mask_urls(text)
    parts: list[str] = []
    done = at = 0
    while found := _NAME.search(text, at):
        group = "name" if found["name"] else "first"
        value = _VALUE.match(text, found.end()) if is_secret(found[group]) else None
        if value is None:
            at = found.end(group)
        else:
            parts += [text[done : found.end()], MASK]
            done = at = value.end()
    masked = "".join([*parts, text[done:]])
    return _POSITIONAL.sub(_without_parameters, masked) if "[parameters: " in masked else masked


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


def names_secret(sql: str) -> bool:
    """Whether a name in *sql* sounds secret."""
    return any(map(is_secret, _SQL_NAME.findall(sql[:10_000])))


def _without_parameters(found: re.Match[str]) -> str:
    return f"{found['sql']}[parameters: {MASK}]" if names_secret(found["sql"]) else found[0]
