"""Mapping of a caller's key to the key in the store; different inputs never map to the same stored key.

    "user:7"  ── default_key ──  "prefix:1:user:7"      hashed_key: long or unusual keys become a digest
    b"\\xff"   ── "%b:ff"                                a bytes key never equals a text key
    7         ── as "7"
    "a" * 300 ── "prefix:1:%h:<digest>"                 over 250 bytes: a digest, which every store accepts
    prefix "a:b" ── "%p:a%3Ab:1:user:7"                 ':' in a prefix is escaped, so no prefix continues another

Stored keys that begin with `%` are reserved for this package: sessions, locks, bytes keys.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from torngas_aio.checks.references import imported
from torngas_aio.exception import ConfigError, InvalidKey

__all__ = [
    "MAX_KEY_BYTES",
    "Key",
    "KeyFunction",
    "KeyMaker",
    "default_key",
    "escaped_prefix",
    "hashed_key",
    "is_reserved",
]

MAX_KEY_BYTES = 250
"""Maximum length of a finished key in bytes of UTF-8: memcached's limit, applied to all stores for portability."""

Key = str | bytes | int
KeyFunction = Callable[[str, str, int], str]

_SURE_LENGTH = MAX_KEY_BYTES // 4  # characters; UTF-8 encodes a character in at most four bytes


_BYTES = "%b:"
_DIGEST = "%h:"
_PREFIXED = "%p:"


def escaped_prefix(key_prefix: str) -> str:
    """Return *key_prefix* with ':' escaped; a prefix without ':' is returned unchanged."""
    if ":" not in key_prefix:
        return key_prefix
    return _PREFIXED + key_prefix.replace("%", "%25").replace(":", "%3A")


def is_reserved(key: str) -> bool:
    """Return whether the finished *key* is reserved (session, lock and the like); cache keys never are."""
    return key[:1] == "%" and not key.startswith((_PREFIXED, _BYTES))


def default_key(key: str, key_prefix: str, version: int) -> str:
    """Return `prefix:version:key` with every ':' of the prefix escaped, which makes the result unambiguous."""
    return f"{escaped_prefix(key_prefix)}:{version}:{key}"


def hashed_key(key: str, key_prefix: str, version: int) -> str:
    """Return the key of `default_key`, with a digest for a *key* that is long or has spaces or control characters.

    Set it as KEY_FUNCTION if keys are built from visitors' input.
    """
    made = default_key(key, key_prefix, version)
    if made.isascii() and made.isprintable() and " " not in made and "%h:" not in made and len(made) <= MAX_KEY_BYTES:
        return made
    return default_key(f"{_DIGEST}{_digest(key)}", key_prefix, version)


class KeyMaker:
    """The maker and checker of the keys of one cache.

    Args:
        key_prefix: KEY_PREFIX; may not begin with `%`.
        version: VERSION, the default for calls without one.
        key_function: KEY_FUNCTION: a callable `(key, key_prefix, version) -> str`, or its dotted path.
        refuses_spaces: Whether the store's protocol splits at spaces.
        owner: The cache's name in messages.

    Raises:
        ConfigError: *key_prefix* begins with `%`, or *key_function* cannot be used.

    Attributes:
        head: The common beginning of this cache's finished keys; empty if the key function gives them none.
    """

    def __init__(
        self,
        key_prefix: str = "",
        version: int = 1,
        key_function: KeyFunction | str | None = None,
        *,
        refuses_spaces: bool = False,
        owner: str = "cache",
    ) -> None:
        if key_prefix.startswith("%"):
            raise ConfigError(
                f"{owner}: KEY_PREFIX = {key_prefix!r}: what begins with '%' is reserved. Choose another.",
                code="TGA401",
            )
        self.key_prefix = key_prefix
        self.version = version
        self.function: KeyFunction = default_key
        if key_function is not None:
            self.function = imported(f"{owner}['KEY_FUNCTION']", key_function, wants_class=False)
        self._refuses_spaces = refuses_spaces
        self._is_default = self.function is default_key
        self._opening = default_key("", key_prefix, version)
        self.head = _head(self.function, key_prefix, owner)

    def make(self, key: Key, version: int | None = None) -> str:
        """Return the finished key.

        Raises:
            InvalidKey: The key has control characters (or spaces, if the store does not accept them) or begins with
                the reserved `%b:`; KEY_FUNCTION returned a reserved key, or more than 250 bytes for a short key; or
                *version* is not an integer.
        """
        text = key if type(key) is str else _text_of(key)
        if text[:1] == "%" and text is key:
            text = _guard(text)
        if self._is_default and version is None:
            made = self._opening + text
        else:
            made = self._made_of(text, version)
            if made[:1] == "%":
                self._refuse_reserved(made, isinstance(key, bytes))
        # PERF: one cheap test accepts nearly every key; only unusual or long keys take the slow path.
        if len(made) <= _SURE_LENGTH and made.isprintable() and not (self._refuses_spaces and " " in made):
            return made
        made = self._check(made)
        if len(made) <= _SURE_LENGTH or len(made.encode("utf-8")) <= MAX_KEY_BYTES:
            return made
        return self._shorten(text, made, version)

    def _shorten(self, text: str, made: str, version: int | None) -> str:
        """Return a key with a digest instead of *text*, because *made* is too long for stores that limit keys."""
        digest = f"{_DIGEST}{_digest(text)}"
        short = self._made_of(digest, version)
        if len(short.encode("utf-8")) > MAX_KEY_BYTES:
            raise InvalidKey(
                f"{made[:60]!r}... is longer than {MAX_KEY_BYTES} bytes, and so is a digest with prefix and version. "
                "Shorten KEY_PREFIX, or let KEY_FUNCTION make shorter keys."
            )
        return short

    def _made_of(self, text: str, version: int | None) -> str:
        return _call(self.function, text, self.key_prefix, self.version if version is None else _number(version))

    def head_of_version(self, version: int | None) -> str:
        """Return the common beginning of the finished keys of *version*; the caller's key follows it.

        Raises:
            NotImplementedError: The key function's results do not end with the caller's key.
        """
        number = self.version if version is None else version
        head = self.function("", self.key_prefix, number)
        if self.function("k*", self.key_prefix, number) != f"{head}k*":
            raise NotImplementedError(
                f"KEY_FUNCTION {self.function!r} does not end in the key itself, so keys() cannot list the keys."
            )
        return head

    def _refuse_reserved(self, made: str, is_bytes: bool) -> None:
        """Refuse a leading '%' unless it comes from `default_key` with this prefix or from a bytes key."""
        own = escaped_prefix(self.key_prefix)
        if (own[:1] == "%" and made.startswith(f"{own}:")) or (is_bytes and made.startswith(_BYTES)):
            return
        raise InvalidKey(
            f"{made!r}: KEY_FUNCTION {self.function!r} puts the key among the reserved ones, which begin with '%' "
            "(sessions, locks). Let it begin its keys with the prefix, as default_key does."
        )

    def _check(self, made: str) -> str:
        try:
            made.encode("utf-8")
        except UnicodeEncodeError as exc:
            raise InvalidKey(f"{made!r} holds half of a surrogate pair, which no store can write.") from exc
        for character in made:
            if character < " " or character == "\x7f" or (self._refuses_spaces and character.isspace()):
                raise InvalidKey(
                    f"{made!r} holds {character!r}, which the store could misread. Leave it out, or set "
                    "KEY_FUNCTION to 'torngas_aio.cache.keys.hashed_key'."
                )
        return made


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()


def _guard(text: str) -> str:
    """Return the caller's *text*, hashed if it looks like a digest; refuse text that looks like a bytes key."""
    if text.startswith(_BYTES):
        raise InvalidKey(f"{text!r}: '%b:' is kept for keys of bytes. Give the key another beginning.")
    return f"{_DIGEST}{_digest(text)}" if text.startswith(_DIGEST) else text


def _text_of(key: Key) -> str:
    if type(key) is int:
        return str(key)
    if isinstance(key, bytes):
        return f"%b:{key.hex()}"
    if isinstance(key, str):
        text = str.__str__(key)
        return _guard(text)
    raise InvalidKey(f"{key!r} is of type {type(key).__name__}; a key is a str, an int or bytes.")


def _number(version: object) -> int:
    if isinstance(version, int):
        return int(version)
    raise InvalidKey(f"version={version!r} is of type {type(version).__name__}; a version is an int.")


def _call(function: KeyFunction, key: str, key_prefix: str, version: int) -> str:
    """Return the key made by *function*; raise InvalidKey if it is not a str."""
    made: Any = function(key, key_prefix, version)
    if isinstance(made, str):
        return made
    if inspect.iscoroutine(made):
        made.close()
    raise InvalidKey(f"KEY_FUNCTION {function!r} has made {made!r:.80} of {key[:80]!r}; it has to return a str.")


def _head(function: KeyFunction, key_prefix: str, owner: str) -> str:
    """Return the common beginning of finished keys, found by calling *function* with varied keys and versions.

    It is empty if keys of a longer prefix begin with it as well, because `clear` would remove those.
    """
    pairs = [(key, version) for key in ("a", "Zz", "0") for version in (1, 22, 345)]
    try:
        samples = [_call(function, key, key_prefix, version) for key, version in pairs]
    except Exception as exc:
        raise ConfigError(
            f"{owner}: KEY_FUNCTION {function!r} has failed ({type(exc).__name__}: {exc}). It is called with "
            "(key, key_prefix, version) and returns a str.",
            code="TGA401",
        ) from exc
    low, high = min(samples), max(samples)
    length = next((place for place, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    head = low[:length]
    longer = function("a", f"{key_prefix}x", 1)
    return "" if longer.startswith(head) and longer != function("a", key_prefix, 1) else head
