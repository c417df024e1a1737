"""Public keys of a login service, published as a JSON Web Key Set (SPEC: RFC 7517): fetching, caching, selection.

token's kid ──► the keys with that kid and those without one; for a token without a kid: all keys
                  │ that match the token's algorithm and are for signatures
                  └ if none verifies and no key has that kid: fetch the set again, at most once a minute
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
    """The cached key set at *url*.

    It is fetched on use if it is older than an hour, or older than a minute and lacks a token's key; after a failure
    not again within ten seconds. Concurrent calls share one request and its result.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: list[tuple[_json.JsonObject, object]] = []  # JWK fields, key
        self._fetched_at = self._failed_at = float("-inf")
        self._failure = ""
        self._flights = SingleFlight()

    async def verify(self, kid: str, algorithm: str, decode: Callable[[Any], T]) -> T:
        """Return the result of *decode* with the first key that verifies the token.

        Args:
            kid: The token's key id; "" if it has none.
            decode: Decodes the token with a key. For a wrong key it raises `jwt.InvalidSignatureError`, or
                PyJWT's error for a key of another type.

        Raises:
            jwt.InvalidKeyError: No key verifies the token.
            Unavailable: No known key verifies the token, and the set cannot be fetched.
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
        """Fetch the set if it is older than *max_age* seconds."""
        now = time.monotonic()
        if now - self._fetched_at <= max_age or now - self._failed_at <= RETRY_SECONDS:
            return
        if max_age == HOUR and self._keys and len(self._flights):
            return  # use the old keys while another request fetches the set
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
    """Return the public signature keys of a key set; raise ValueError if *found* is not a key set."""
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
            continue  # SPEC: RFC 7517 5: ignore keys of unknown types
    return keys


def _kid_of(fields: _json.JsonObject) -> str:
    return str(fields.get("kid") or "")
