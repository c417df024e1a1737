"""Keys that a login service publishes: which of them opens a token, and how often the service is asked."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.polling import until
from torngas_aio.auth import JWTBearer, published_keys
from torngas_aio.exception import Unavailable

RSA, NEW, EVIL = (rsa.generate_private_key(65537, 2048) for _ in range(3))
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None = None, **fields: Any) -> dict[str, Any]:
    kind: Any = {rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm, ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm}
    kinds = [made for known, made in kind.items() if isinstance(key, known)]
    made = (kinds or [jwt.algorithms.OKPAlgorithm])[0].to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return {**made, **({} if kid is None else {"kid": kid}), **fields}


def token(key: Any = RSA, kid: str | None = None, algorithm: str = "RS256") -> str:
    claims = {"sub": "7", "exp": time.time() + 86_400}  # some are made when tests are collected
    return jwt.encode(claims, key, algorithm, headers=None if kid is None else {"kid": kid})


def http(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields])
    return head.encode() + b"\r\n\r\n" + body


class LoginService:
    """A server that answers each request with the same bytes, once `gate` is set; and a clock that a test sets."""

    url = ""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.now = 1000.0
        self.publish()
        monkeypatch.setattr(published_keys, "time", SimpleNamespace(monotonic=lambda: self.now))

    def publish(self, *keys: Any) -> None:
        self.answer = http(json.dumps({"keys": keys}).encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        answer = self.answer
        await self.gate.wait()
        writer.write(answer)
        writer.close()

    def module(self, *algorithms: str) -> JWTBearer:
        attributes = {"algorithms": algorithms or ("RS256", "ES256", "EdDSA"), "jwks_url": self.url}
        made: JWTBearer = type("Published", (JWTBearer,), attributes)()
        return made


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoginService]:
    service = LoginService(monkeypatch)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    async with server:
        yield service
        service.gate.set()


async def is_taken(module: JWTBearer, given: str) -> bool | None:
    """Whether the token is taken; None where that cannot be known."""
    try:
        return await module.load_user(given, None) is not None
    except Unavailable:
        return None


@pytest.mark.parametrize(
    ("keys", "given", "expected"),
    [
        ([jwk(RSA, "a")], token(RSA, "a"), True),
        ([jwk(RSA, "a")], token(EVIL, "a"), False),
        ([jwk(RSA, "a")], token(RSA, "b"), False),
        ([jwk(RSA, "a")], token(RSA), True),
        ([jwk(RSA)], token(RSA), True),
        ([jwk(RSA)], token(EVIL), False),
        ([jwk(RSA)], token(RSA, "a"), True),
        ([jwk(NEW), jwk(EC), jwk(ED), jwk(RSA)], token(RSA), True),
        ([jwk(RSA), jwk(NEW)], token(EC, None, "ES256"), False),
        ([jwk(RSA), jwk(EC), jwk(ED)], token(EC, None, "ES256"), True),
        ([jwk(RSA), jwk(EC), jwk(ED)], token(ED, None, "EdDSA"), True),
        ([jwk(NEW, "a"), jwk(RSA, "a")], token(RSA, "a"), True),
        ([jwk(EC, "a"), jwk(RSA, "a")], token(RSA, "a"), True),
        ([jwk(NEW, "a"), jwk(RSA, "a")], token(EVIL, "a"), False),
        ([jwk(RSA, "a", use="enc")], token(RSA, "a"), False),
        ([jwk(RSA, "a", use="enc"), jwk(RSA, "b", use="sig")], token(RSA), True),
        ([jwk(RSA, "a", key_ops=["encrypt"])], token(RSA, "a"), False),
        ([jwk(RSA, "a", key_ops=["verify"])], token(RSA, "a"), True),
        ([jwk(RSA, "a", key_ops=3), jwk(RSA)], token(RSA), True),
        ([jwk(RSA, "a", alg="RS512")], token(RSA, "a"), False),
        ([jwk(RSA, "a", alg=None)], token(RSA, "a"), True),
        ([jwk(RSA, "a", alg="RSA-OAEP-256"), jwk(RSA, "a", alg="RS256")], token(RSA, "a"), True),
        ([jwk(RSA, "a"), {"kty": "of tomorrow", "kid": "b"}, {}], token(RSA, "a"), True),
        ([{"kty": "of tomorrow", "kid": "a"}], token(RSA, "a"), False),
        ([jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True)], token(RSA), False),
        ([], token(RSA), False),
        ([jwk(RSA, "a")], token("x" * 40, "a", "HS256"), False),
    ],
    ids=range(27),
)  # fmt: skip
async def test_a_token_is_taken_by_its_key(service: LoginService, keys: Any, given: str, expected: bool) -> None:
    service.publish(*keys)
    module = service.module()
    outcomes = await asyncio.gather(*(is_taken(module, given) for _ in range(10)))
    assert outcomes == [expected] * 10


async def test_many_tokens_of_unknown_keys_have_the_set_read_once_a_minute(service: LoginService) -> None:
    service.publish(jwk(RSA, "a"))
    module = service.module()
    for asked in (1, 2, 3):
        given = [token(EVIL, f"{asked}-{n}") for n in range(20)] + [token(EVIL), token(RSA, "a")]
        assert await asyncio.gather(*(is_taken(module, each) for each in given)) == [False] * 21 + [True]
        assert not await is_taken(module, token(EVIL, "b"))
        assert service.asked == asked
        service.now += 61.0


async def test_a_token_with_a_bad_signature_of_a_known_key_has_nothing_read(service: LoginService) -> None:
    service.publish(jwk(RSA, "a"))
    module = service.module()
    assert await is_taken(module, token(RSA, "a"))
    service.now += 61.0
    assert not await is_taken(module, token(EVIL, "a"))
    assert service.asked == 1


@pytest.mark.parametrize("kid", ["new", None])
async def test_keys_that_change_while_requests_wait(service: LoginService, kid: str | None) -> None:
    old = "old" if kid else None
    service.publish(jwk(RSA, old))
    module = service.module()
    assert await is_taken(module, token(RSA, old))
    service.publish(jwk(NEW, kid))
    service.now += 61.0
    service.gate.clear()
    waiting = [asyncio.ensure_future(is_taken(module, token(NEW, kid))) for _ in range(10)]
    await until(lambda: service.asked == 2)
    assert await is_taken(module, token(RSA, old))  # not withdrawn as far as is known
    service.gate.set()
    assert await asyncio.gather(*waiting) == [True] * 10
    assert not await is_taken(module, token(RSA, old))
    assert service.asked == 2


async def test_old_keys_serve_while_the_set_is_read(service: LoginService) -> None:
    service.publish(jwk(RSA, "a"))
    module = service.module()
    assert await is_taken(module, token(RSA, "a"))
    service.now += 3601.0
    service.gate.clear()
    first = asyncio.ensure_future(is_taken(module, token(RSA, "a")))
    await until(lambda: service.asked == 2)
    assert await asyncio.gather(*(is_taken(module, token(RSA, "a")) for _ in range(10))) == [True] * 10
    assert not first.done()
    service.gate.set()
    assert await first


async def test_a_request_that_is_cancelled_leaves_the_reading_to_the_next(service: LoginService) -> None:
    service.publish(jwk(RSA))
    service.gate.clear()
    module = service.module()
    requests = [asyncio.ensure_future(is_taken(module, token(RSA))) for _ in range(5)]
    await until(lambda: service.asked == 1)
    requests[0].cancel()
    service.gate.set()
    assert await asyncio.gather(*requests[1:]) == [True] * 4
    assert service.asked == 2


GOOD = json.dumps({"keys": [jwk(RSA, "a")]}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        *map(http, (b"[]", b"3", b'"x"', b'{"keys": 3}', b'{"keys": [3]}', b"{}", b"no JSON", b"", b"\xff")),
        http(GOOD, "500 Broken"),
        http(GOOD, "302 Found", "Location: /elsewhere"),
        http(GOOD + b" " * 300_000),
        http(gzip.compress(GOOD + b" " * 300_000), "200 OK", "Content-Encoding: gzip"),
        http(b"not packed", "200 OK", "Content-Encoding: gzip"),
        http(b"[" * 5000 + b"]" * 5000),
        http(GOOD)[:-5],
        b"nonsense\r\n\r\n",
        b"",
    ],
    ids=range(18),
)  # fmt: skip
async def test_a_service_that_does_not_answer_with_keys(service: LoginService, answer: bytes) -> None:
    service.answer = answer
    module = service.module()
    outcomes = await asyncio.gather(*(is_taken(module, token(RSA, f"{n}")) for n in range(10)))
    assert outcomes == [None] * 10
    assert await is_taken(module, token(RSA, "a")) is None
    assert service.asked == 1  # and is not asked again at once
    service.now += 11.0
    service.answer = http(GOOD)
    assert await is_taken(module, token(RSA, "a"))
    service.answer = answer
    service.now += 3601.0
    outcomes = await asyncio.gather(*(is_taken(module, token(RSA, "a")) for _ in range(10)))
    assert outcomes == [True] * 10  # by the old keys
    assert not await is_taken(module, token(EVIL, "a"))
    outcomes = await asyncio.gather(*(is_taken(module, token(NEW, f"{n}")) for n in range(10)))
    assert outcomes == [None] * 10  # it may have been published meanwhile
    assert service.asked == 3


async def test_a_service_that_is_silent(service: LoginService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_keys, "FETCH_SECONDS", 0.05)
    service.gate.clear()
    module = service.module()
    outcomes = await asyncio.gather(*(module.load_user(token(RSA), None) for _ in range(10)), return_exceptions=True)
    assert {(type(each), "cannot be read: " in str(each)) for each in outcomes} == {(Unavailable, True)}
    assert service.asked == 1


@pytest.mark.parametrize(
    "make", [lambda: token(None, None, "none"), lambda: token("x" * 40, "a", "HS256"), lambda: ".."]
)
async def test_a_token_that_no_key_can_open_has_nothing_read(service: LoginService, make: Callable[[], str]) -> None:
    assert await is_taken(service.module(), make()) is False
    assert service.asked == 0
