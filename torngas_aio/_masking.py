"""Masking of secrets in names, texts and URLs before they are shown.

    is_secret("db_password")                   a name whose value must not be shown
    mask_text("... redis://:pw@host ...")      any text: passwords in URLs, values of secret-sounding names
    mask_url("redis://:p/w@host")              a text that is one URL or address, even a malformed one
    show_setting({"PASSWD": "pw"})             a setting's value for an error message

For values of any type see `torngas_aio.errorpage.masking`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import cast

__all__ = ["MASK", "is_secret", "mask_text", "mask_url", "mask_urls", "names_secret", "show_setting"]

MASK = "••••••••"

_WORDS = frozenset(
    "apikey auth authorization bearer cookie cred csrf cvc cvv dsn hmac iban jwt otp pass passcode passphrase "  # noqa: SIM905
    "pepper pin psk pswd psw pw pwd salt sid sig signature ssn totp xsrf".split()
)
_ANYWHERE = re.compile(
    r"passw|secret|token|api_?key|credential|(?:access|encryption|master|private|signing|ssh)_?key|sess(?:ion)?id|(?:^|[^a-z])(?:user|db|root|admin)(?:pass|pwd?)(?:$|[^a-z])",
    re.IGNORECASE,
)
_PAIRS = frozenset({("card", "no"), ("card", "number"), ("sess", "id"), ("session", "id")})
# A key is a secret unless it is that of a column or mapping, or a public one.
_OPEN_KEYS = frozenset(
    "cache candidate composite dict duplicate field foreign group has idempotency index item lookup map message "  # noqa: SIM905
    "missing natural object order partition primary public sort unique unknown".split()
)
_WORD = re.compile(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+")

# A name and the text before its value: `name=`, `name: `, `name: str = `, `"name": `, `\"name\": `, `["name"] = `,
# `name == `, `name LIKE `, `("name", `, `--name `, `PASSWORD '`. The look-behind keeps the search linear: a long word
# is only tried at its start.
_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]++)\\*[\"'`]?\]?"
    r"(?:(?:(?<!cookie)(?<!authorization)\s*:[\w.\[\]|, ]{1,100}?(?=\s*=[^=]))?\s*(?:[=!<>:]=|=>|<>|[=:]|%3D)\s*"
    r"|\s{1,9}(?:not\s{1,9})?(?:i?like|in)\s{0,9}(?=[\"'(]))"
    r"|[(\[][bru]?[\"'](?P<first>[\w.-]+)[\"']\s*,\s*(?=[bru]?[\"'])"
    r"|(?<![\w-])--(?P<flag>[\w-]++)(?:[\"']\s*,\s*|\s+)(?=[^\s-])"
    r"|\b(?P<clause>passw\w*|identified\s{1,9}(?:with\s{1,9}\w+\s{1,9})?(?:by|as))\s{1,9}(?=')",
    re.IGNORECASE,
)
_STRING_PATTERN = (
    r"[bruf]{0,2}(?:(?P<triple>\"\"\"|''\').*?(?:(?P=triple)|\Z)"
    r"|\"(?:[^\"\\\n]|\\.)*+(?:\"|$)|'(?:[^'\\\n]|\\.|'')*+(?:'|$))"
    r"|(?P<escaped>\\+[\"']).*?(?:(?P=escaped)|\Z)"
)
_FLAGS = re.IGNORECASE | re.DOTALL | re.MULTILINE
_STRING = re.compile(_STRING_PATTERN, _FLAGS)
_FURTHER = re.compile(rf"(?:[^\S\n]+|\s*\+\s*)(?:{_STRING_PATTERN})", _FLAGS)
_OPENING = re.compile(r"[\w.]*[\[({]")
_INSIDE = re.compile(rf"{_STRING_PATTERN}|(?P<open>[\[({{])|(?P<close>[\])}}])|[^\[\](){{}}\"'\\]+|.", _FLAGS)
_PLAIN = re.compile(r"(?:(?:Bearer|Basic|Token) )?[^\s,;&)\]}<>\"']+", re.IGNORECASE)
_LINE = re.compile(r"[^\r\n\"']+")
_LINE_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
# Secrets recognized by their form; a Basic login is only recognized after its header's name.
_BARE = re.compile(
    r"(?P<start>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----).*?(?=-----END |\Z)"
    r"|(?P<scheme>\bBearer )[\w.~+/=-]{16,}|\beyJ[\w-]{8,}+\.[\w-]++\.[\w-]*+",
    re.DOTALL,
)
_INSERTED = re.compile(r"\((?P<columns>[^()']{1,5000}+)\)\s*VALUES\s*(?=\()", re.IGNORECASE)
_NEXT_ROW = re.compile(r"\s*,\s*(?=\()")
_LITERAL = re.compile(r"['\"]|(?<![\w$:])\d")
# A password may contain '@', and an unquoted '/'; digits before a '/' are a port. The bound keeps the search
# linear.
_IN_URL = re.compile(
    r"(?P<start>(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s/:@\[]*:)(?:[^\s/]{1,512}|(?!\d*/)[^\s\"',]{1,512})(?=@)",
    re.IGNORECASE,
)
_POSITIONAL = re.compile(r"(?P<sql>\[SQL: (?:(?!\[SQL: ).)*?\]\s*)\[parameters: [(\[](?!\{)[^\n]*", re.DOTALL)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
_SQL_NAME = re.compile(r"\w+")
_IN_QUERY = re.compile(r"(?P<name>[?&;](?P<key>[^?=&;#]*)=)[^&;#]*")


def is_secret(name: object) -> bool:
    """Return whether the value of *name* must not be shown: one of its words, in any position, names a secret.

    Words end at capitals and at any character that is not a letter: `dbPassword`, `STRIPE_KEY`, `x-jwt-old`.
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
    """Return *text* with passwords in URLs and values of secret-sounding names masked.

    The positional parameters in SQLAlchemy's messages are masked if the statement names a secret column.
    """
    text = _BARE.sub(_without_bare, mask_urls(text))
    parts: list[str] = []
    done = at = 0
    while found := _NAME.search(text, at):
        group = found.lastgroup or "name"
        end = _end_of_value(text, found) if group == "clause" or is_secret(found[group]) else found.end()
        if end == found.end():
            at = found.end(group)
        else:
            parts += [text[done : found.end()], MASK, "\n" * text.count("\n", found.end(), end)]
            done = at = end
    masked = _without_inserted("".join([*parts, text[done:]]))
    return _POSITIONAL.sub(_without_parameters, masked) if "[parameters: " in masked else masked


def mask_urls(text: str) -> str:
    """Return *text* with only passwords in URLs masked: "using password: YES" stays."""
    return _IN_URL.sub(rf"\g<start>{MASK}", text)


def mask_url(url: str) -> str:
    """Return *url* with its password masked, and the values in its query whose names sound secret.

    Accepts any text meant as a URL or as `user:password@host`: without a scheme or host, with '/', '@' or '#' in
    the password, with several hosts. The text between the user's ':' and the last '@' is the password.
    """
    head, at, place = url.rpartition("@")
    scheme = _SCHEME.match(head)
    user, colon, _ = head[scheme.end() if scheme else 0 :].partition(":")
    if at and colon:
        url = f"{scheme[0] if scheme else ''}{user}:{MASK}@{place}"
    return _IN_QUERY.sub(lambda found: found["name"] + MASK if is_secret(found["key"]) else found[0], url)


def show_setting(value: object, name: object = None) -> str:
    """Return `repr(value)` of a setting without its secrets, for a message.

    Args:
        value: Strings are masked as URLs, also within lists, tuples and dicts.
        name: The setting's key; if it sounds secret, any value but None is masked.
    """
    if value is not None and is_secret(name):
        return MASK
    if isinstance(value, str):
        return repr(mask_url(value))
    if isinstance(value, Mapping):
        fields = cast(Mapping[object, object], value)
        return "{" + ", ".join(f"{key!r}: {show_setting(each, key)}" for key, each in fields.items()) + "}"
    if isinstance(value, list | tuple):
        items = cast(Sequence[object], value)
        inside = ", ".join(map(show_setting, items))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(items) == 1)})"
    try:
        return mask_text(repr(value))
    except Exception:  # noqa: BLE001  # a boundary: an object's own repr; that of an int of over 4300 digits fails
        return f"<{type(value).__name__}>"


def names_secret(sql: str) -> bool:
    """Return whether a name in *sql* sounds secret."""
    return any(map(is_secret, _SQL_NAME.findall(sql[:10_000])))


def _end_of_value(text: str, found: re.Match[str]) -> int:
    """Return the index after the value of the name *found*: strings, a bracketed expression, a line or a word."""
    start = found.end()
    if string := _STRING.match(text, start):
        end = string.end()
        while further := _FURTHER.match(text, end):
            end = further.end()
        return end
    if _OPENING.match(text, start):
        return _end_of_bracket(text, start)
    is_header = ":" in found[0] and (found["name"] or "").lower() in _LINE_HEADERS
    value = (_LINE if is_header else _PLAIN).match(text, start)
    return value.end() if value else start


def _end_of_bracket(text: str, start: int) -> int:
    """Return the index after the first bracketed expression; the text's end if it is not closed."""
    depth = 0
    for found in _INSIDE.finditer(text, start):
        depth += (found["open"] is not None) - (found["close"] is not None)
        if found["close"] and depth <= 0:
            return found.end()
    return len(text)


def _without_bare(found: re.Match[str]) -> str:
    return f"{found['start'] or found['scheme'] or ''}{MASK}" + "\n" * found[0].count("\n")


def _without_inserted(text: str) -> str:
    """Mask the rows of an INSERT that names a secret column."""
    parts: list[str] = []
    done = at = 0
    while found := _INSERTED.search(text, at):
        start = at = found.end()
        if not names_secret(found["columns"]):
            continue
        at = _end_of_bracket(text, start)
        while row := _NEXT_ROW.match(text, at):
            at = _end_of_bracket(text, row.end())
        if _LITERAL.search(text, start, at):  # not only placeholders
            parts += [text[done:start], f"({MASK})", "\n" * text.count("\n", start, at)]
            done = at
    return "".join([*parts, text[done:]])


def _without_parameters(found: re.Match[str]) -> str:
    return f"{found['sql']}[parameters: {MASK}]" if names_secret(found["sql"]) else found[0]
