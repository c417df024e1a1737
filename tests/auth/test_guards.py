"""Who gets past the guards: users, those with a permission, holders of a token that is signed as it must be."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.auth import site
from tests.auth.site import SECRET, Page
from torngas_aio import Application, WebHandler
from torngas_aio.auth import (
    JWTBearer,
    PermissionRequired,
    login_required,
)
from torngas_aio.exception import ConfigError
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


def token(key: Any = SECRET, algorithm: str = "HS256", headers: Any = None, **claims: Any) -> str:
    claims = {"sub": "7", "aud": "us", "iss": "them", "exp": time.time() + 60, **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers=headers)


KEY = rsa.generate_private_key(65537, 2048)


OTHER = rsa.generate_private_key(65537, 2048)


EC_KEY = ec.generate_private_key(ec.SECP256R1())


class AnyKind(JWTBearer):
    algorithms = ("RS256", "ES256", "EdDSA", "HS256")
    jwks_url = "http://127.0.0.1:9/keys"


class NoAlgorithm(JWTBearer):
    key = SECRET


class Unsigned(JWTBearer):
    algorithms = ("none",)
    key = SECRET


class NoKey(JWTBearer):
    algorithms = ("HS256",)


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class SecretAndCurve(JWTBearer):
    algorithms = ("HS256", "ES256")
    key = SECRET


class CurveWithSecret(JWTBearer):
    algorithms = ("ES256",)
    key = SECRET.encode()


class PublicKeyAsSecret(JWTBearer):
    algorithms = ("RS256", "HS256")
    key = public_pem(KEY)


class OtherKind(JWTBearer):
    algorithms = ("RS256", "EdDSA")
    key = public_pem(EC_KEY)


class PrivateKey(JWTBearer):
    algorithms = ("RS256",)
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Misspelt(JWTBearer):
    algorithms = ("HS265",)
    key = SECRET


async def test_a_guarded_page_redirects_and_others_are_401(client: TestClient) -> None:
    page = await client.get("/page?x=//evil", follow_redirects=False)
    assert page.status_code == 302
    assert page.headers["location"] == "/login?next=%2Fpage%3Fx%3D%2F%2Fevil"
    assert (await client.post("/page")).status_code == 401
    api = await client.get("/api")
    assert (api.status_code, api.json()["detail"]) == (401, "Log in first.")
    await client.post("/login/7")
    assert (await client.get("/page")).json()["name"] == "ann"
    assert (await client.get("/api")).json() == {"user": "ann"}


async def test_permissions(client: TestClient) -> None:
    assert (await client.get("/edit", follow_redirects=False)).status_code == 302
    await client.post("/login/8")
    assert (await client.get("/edit")).status_code == 403
    await client.post("/login/7")
    assert (await client.get("/edit")).status_code == 200
    with settings.override(AUTH={**settings.AUTH, "has_permission": f"{site.__name__}.only_bob"}):
        assert (await client.get("/edit")).status_code == 403


async def test_decorators_guard_single_methods(client: TestClient) -> None:
    assert (await client.get("/partly")).json() == "open"
    assert (await client.post("/partly")).status_code == 401
    await client.post("/login/8")
    assert (await client.post("/partly")).json() == "in"
    assert (await client.put("/partly")).status_code == 403
    await client.post("/login/7")
    assert (await client.put("/partly")).json() == "edited"


async def test_a_socket_is_guarded(client: TestClient) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert (await client.get("/socket", headers=headers)).status_code == 401
    await client.post("/login/7")
    async with client.websocket("/socket") as socket:
        assert await socket.receive_text() == "ann"


@pytest.mark.parametrize(
    ("given", "status", "told"),
    [
        (None, 401, "Bearer"),
        ("Bearer 7", 200, None),
        ("bearer  7", 200, None),
        ("Bearer 9", 401, 'Bearer error="invalid_token"'),
        ("Basic Nzo3", 401, 'Bearer error="invalid_request"'),
        ("Bearer", 401, 'Bearer error="invalid_request"'),
        ("Bearer a b", 401, 'Bearer error="invalid_request"'),
        ("Bearer " + "x" * 9000, 401, 'Bearer error="invalid_request"'),
    ],
)
async def test_bearer_tokens(client: TestClient, given: str | None, status: int, told: str | None) -> None:
    answer = await client.get("/token", headers={} if given is None else {"Authorization": given})
    assert answer.status_code == status
    assert answer.headers.get("www-authenticate") == told


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (token, 200),
        (lambda: token(exp=time.time() - 60), 401),
        (lambda: token(exp=None), 401),
        (lambda: token(aud="others"), 401),
        (lambda: token(aud=None), 401),
        (lambda: token(iss="others"), 401),
        (lambda: token(nbf=time.time() + 600), 401),
        (lambda: token("x" * 40), 401),
        (lambda: token(SECRET, "HS512"), 401),
        (lambda: token(None, "none"), 401),
        (lambda: token()[:-2], 401),
        (lambda: "a.b.c", 401),
        (lambda: "..", 401),
    ],
    ids=range(13),
)
async def test_signed_tokens(client: TestClient, given: Callable[[], str], status: int) -> None:
    answer = await client.get("/jwt", headers={"Authorization": f"Bearer {given()}"})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["user"]["sub"] == "7"


@pytest.mark.parametrize("algorithm", AnyKind.algorithms)
@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
async def test_a_token_that_names_a_key_of_another_kind_is_refused(algorithm: str, kid: str) -> None:
    module = AnyKind()
    keys: Any = {"rsa": KEY, "ec": EC_KEY, "ed": ed25519.Ed25519PrivateKey.generate()}
    module._published._keys = [({"kid": name}, key.public_key()) for name, key in keys.items()]
    module._published._fetched_at = float("inf")
    head, body, _ = token(headers={"kid": kid}).split(".")
    fields = json.dumps({"alg": algorithm, "kid": kid}).encode()
    head = base64.urlsafe_b64encode(fields).rstrip(b"=").decode()
    assert await module.load_user(f"{head}.{body}.{'A' * 86}", None) is None


@pytest.mark.parametrize(
    "module",
    [
        NoAlgorithm, Unsigned, NoKey, PermissionRequired, SecretAndCurve, CurveWithSecret, PublicKeyAsSecret, OtherKind,
        PrivateKey, Misspelt,
    ],
)  # fmt: skip
def test_a_guard_that_cannot_guard_is_told_at_start(module: Any) -> None:
    with pytest.raises(ConfigError, match=module.__name__):
        Application([(r"/", Page)], middlewares=[HttpModuleMiddleware([module], {})])


class Asking(WebHandler):
    async def get_current_user(self) -> Any:
        return site.USERS.get(self.get_query_argument("key", ""))

    async def get(self) -> None:
        self.write(self.current_user.name)

    @login_required
    async def post(self) -> None:
        self.write(self.current_user.name)


async def test_guards_load_an_asynchronous_user() -> None:
    modules = HttpModuleMiddleware((), {"get": [PermissionRequired("edit")]})
    with settings.override(AUTH={"load_user": site.load_user}):
        application = Application([("/get", Asking, {}, "get"), ("/post", Asking)], middlewares=[modules])
        async with TestClient(application, follow_redirects=False) as client:
            assert (await client.get("/get?key=7")).text == "ann"
            assert (await client.get("/get?key=8")).status_code == 403
            assert (await client.get("/get")).status_code == 302
            assert (await client.post("/post?key=7")).text == "ann"
            assert (await client.post("/post")).status_code == 401
