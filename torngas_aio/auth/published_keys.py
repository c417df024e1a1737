"""The keys that a login service publishes as a JSON Web Key Set (RFC 7517): fetched, kept, tried.

token's kid ──► the keys of that kid and those without one; without a kid: every key
                  │ of the token's algorithm, for signatures
                  └ none verifies, and no key has that kid: the set is read again, at most once a minute
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from torngas_aio import _json
from torngas_aio._concurrency import SingleFlight
from torngas_aio.exception import Unavailable
from torngas_aio.utils.narrowing import is_dict, is_list

__all__ = ["PublishedKeys"]

T = TypeVar("T")

HOUR = 3600.0
MINUTE = 60.0
RETRY_SECONDS = 10.0
FETCH_SECONDS = 5.0
MAX_SET_BYTES = 256 * 1024


class PublishedKeys:
    """The key set at *url*.

    It is read when it is used and older than an hour, or older than a minute and without the key of a token; after a
    failure not within ten seconds. There is one request at a time, whose outcome is that of all who wait for it.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: list[tuple[_json.JsonObject, object]] = []  # what is said of the key, the key
        self._fetched_at = self._failed_at = float("-inf")
        self._failure = ""
        self._flights = SingleFlight()

    async def verify(self, kid: str, algorithm: str, decode: Callable[[Any], T]) -> T:
        """Return what *decode* makes of a token with the first key that fits.

        Args:
            kid: The key id that the token names; "": none.
            decode: Raises `jwt.InvalidSignatureError`, or what PyJWT raises for a key of another kind, where the key
                is not that of the token.

        Raises:
            jwt.InvalidKeyError: None of the keys fits.
            Unavailable: None of those that are known fits, and the set cannot be read.
        """
        import jwt

        tried = None
        for max_age in (HOUR, MINUTE):
            await self._refresh(max_age)
            for key in () if self._keys is tried else self._candidates(kid, algorithm):
                try:
                    return decode(key)
                except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError, ValueError):
                    continue
            tried = self._keys
            if kid and any(_kid_of(fields) == kid for fields, _ in tried):
                break
        else:
            if self._failure:
                raise Unavailable(f"The keys of {self._url} cannot be read: {self._failure}")
        raise jwt.InvalidKeyError(f"No published key fits the token (kid {kid!r:.100}).")

    def _candidates(self, kid: str, algorithm: str) -> Iterator[object]:
        for fields, key in self._keys:
            if (not kid or _kid_of(fields) in {kid, ""}) and fields.get("alg") in (None, algorithm):
                yield key

    async def _refresh(self, max_age: float) -> None:
        """Read the set if it is older than *max_age* seconds."""
        now = time.monotonic()
        if now - self._fetched_at <= max_age or now - self._failed_at <= RETRY_SECONDS:
            return
        if max_age == HOUR and self._keys and len(self._flights):
            return  # old keys serve while another request reads the set
        await self._flights.run(None, self._fetch)

    async def _fetch(self) -> None:
        body = bytearray()

        def take(chunk: bytes) -> None:
            body.extend(chunk[: MAX_SET_BYTES + 1 - len(body)])

        try:
            await AsyncHTTPClient().fetch(
                self._url, request_timeout=FETCH_SECONDS, follow_redirects=False, streaming_callback=take
            )
            self._keys = _keys_of(_json.parse_json(bytes(body), max_bytes=MAX_SET_BYTES))
        except (OSError, HTTPClientError, ValueError) as exc:
            self._failure = str(exc) or type(exc).__name__
            self._failed_at = time.monotonic()
        else:
            self._failure = ""
            self._fetched_at = time.monotonic()


def _keys_of(found: object) -> list[tuple[_json.JsonObject, object]]:
    """Return the public keys for signatures of a set; raises ValueError where it is none."""
    import jwt

    listed = found.get("keys") if is_dict(found) else None
    if not is_list(listed) or not all(map(is_dict, listed)):
        raise ValueError("the answer is no JSON Web Key Set.")
    keys: list[tuple[_json.JsonObject, object]] = []
    for fields in filter(is_dict, listed):
        try:
            if (
                fields.get("use", "sig") == "sig"
                and "verify" in fields.get("key_ops", ["verify"])
                and "d" not in fields
            ):
                keys.append((fields, jwt.PyJWK.from_dict(fields).key))
        except (jwt.PyJWTError, TypeError, ValueError, AttributeError):
            continue  # SPEC: RFC 7517 5, keys of other kinds are passed over
    return keys


def _kid_of(fields: _json.JsonObject) -> str:
    return str(fields.get("kid") or "")
