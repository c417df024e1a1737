"""Which origins are told that they may, and that preflights never reach a handler."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler
from torngas_aio.middleware.cors import CORSMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

OPTIONS: dict[str, Any] = {
    "allow_origins": ["https://app.example.com", "https://*.shop.example:8443"],
    "allow_methods": ["GET", "PUT"],
    "allow_headers": ["X-Token"],
    "expose_headers": ["X-Total"],
    "allow_credentials": True,
    "max_age": 60,
}

served: list[str] = []


class Main(WebHandler):
    async def get(self) -> None:
        served.append("get")
        self.set_header("Vary", "Accept")

    async def options(self) -> None:
        served.append("options")
        self.write("own")


class Own(WebHandler):
    async def get(self) -> None:
        self.set_header("Access-Control-Allow-Origin", "https://own.example")


class Fails(WebHandler):
    async def get(self) -> None:
        raise ValueError


ROUTES = [("/", Main), ("/own", Own), ("/fails", Fails)]


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[TestClient]:
    served.clear()
    guard = CORSMiddleware(**getattr(request, "param", OPTIONS))
    async with TestClient(Application(ROUTES, middlewares=[guard])) as made:
        yield made


def preflight(origin: str, method: str = "PUT", headers: str = "") -> dict[str, str]:
    found = {"Origin": origin, "Access-Control-Request-Method": method}
    return {**found, "Access-Control-Request-Headers": headers} if headers else found


@pytest.mark.parametrize("path", ["/", "/own", "/nothing"])
async def test_an_allowed_preflight_is_answered_without_the_handler(client: TestClient, path: str) -> None:
    response = await client.options(path, headers=preflight("https://app.example.com", headers="x-token, Content-Type"))
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert response.headers["Access-Control-Allow-Methods"] == "GET, PUT"
    assert response.headers["Access-Control-Allow-Headers"] == "x-token, content-type"
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert response.headers["Access-Control-Max-Age"] == "60"
    assert "Origin" in response.headers["Vary"]
    assert served == []


@pytest.mark.parametrize(
    "headers",
    [
        preflight("https://evil.com"),
        preflight("https://app.example.com", "DELETE"),
        preflight("https://app.example.com", "put"),
        preflight("https://app.example.com", headers="X-Other"),
        preflight("https://app.example.com", headers="x-token, bad name"),
    ],
)
async def test_a_preflight_for_anything_else_is_answered_403_and_allows_nothing(
    client: TestClient, headers: dict[str, str]
) -> None:
    response = await client.options("/", headers=headers)
    assert response.status_code == 403
    assert "Access-Control-Allow-Methods" not in response.headers
    assert "Access-Control-Allow-Headers" not in response.headers
    assert served == []


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "https://app.example.com"}, {"Access-Control-Request-Method": "PUT"}]
)
async def test_other_options_requests_reach_their_handler(client: TestClient, headers: dict[str, str]) -> None:
    assert (await client.options("/", headers=headers)).text == "own"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "HTTPS://APP.example.com",
        "https://a.shop.example:8443",
        "https://a.b.shop.example:8443",
    ],
)
@pytest.mark.parametrize("path", ["/", "/fails", "/nothing"])
async def test_an_allowed_origin_may_read_answers_and_errors(client: TestClient, origin: str, path: str) -> None:
    headers = (await client.get(path, headers={"Origin": origin})).headers
    assert headers["Access-Control-Allow-Origin"] == origin
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Expose-Headers"] == "X-Total"
    assert "Origin" in headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.com", "http://app.example.com", "https://app.example.com:444",
        "https://app.example.com.evil.com",
        "https://evilapp.example.com", "https://shop.example:8443", "https://evil.com/.shop.example:8443",
        "https://evil.com#.shop.example:8443", "https://a.shop.example:84430", "https://a.shop.example", "",
        "*",
        "https://app.example.com https://evil.com", "https://.shop.example:8443",
        "https://-.shop.example:8443",
    ],
)  # fmt: skip
async def test_any_other_origin_is_told_nothing(client: TestClient, origin: str) -> None:
    response = await client.get("/", headers={"Origin": origin})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert response.headers["Vary"] == "Accept, Origin"


async def test_a_handlers_own_word_stands(client: TestClient) -> None:
    headers = (await client.get("/own", headers={"Origin": "https://app.example.com"})).headers
    assert headers["Access-Control-Allow-Origin"] == "https://own.example"


@pytest.mark.parametrize("client", [{"allow_origins": "*", "allow_headers": "*", "paths": "^/(own)?$"}], indirect=True)
async def test_a_star_says_the_same_to_everybody_on_its_paths(client: TestClient) -> None:
    headers = (await client.get("/", headers={"Origin": "https://anybody.example"})).headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Vary"] == "Accept"
    assert "Access-Control-Allow-Credentials" not in headers
    response = await client.options("/", headers=preflight("https://anybody.example", headers="x-anything"))
    assert response.headers["Access-Control-Allow-Headers"] == "x-anything"
    assert not [name for name in (await client.get("/fails")).headers if name.startswith("access-control")]
    assert (await client.options("/fails", headers=preflight("https://anybody.example"))).status_code == 405


async def test_the_options_are_those_of_the_settings() -> None:
    with settings.override(CORS={"allow_origins": ["https://app.example.com"]}):
        application = Application(ROUTES, middlewares=[CORSMiddleware])
    async with TestClient(application) as client:
        headers = (await client.get("/own2", headers={"Origin": "https://app.example.com"})).headers
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.com"


@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize(
    "origin",
    [
        "https://*.com",
        "http://*.com.",
        "https://*.com:8443",
        "https://*.localhost",
        "https://*.[::1]",
        "https://*.10.0.0.1",
    ],
)
def test_a_wildcard_stands_below_a_domain_of_two_labels(origin: str, credentials: bool) -> None:
    """`https://*.com` would be every site of a public suffix."""
    with pytest.raises(ConfigError, match="two labels"):
        CORSMiddleware(allow_origins=[origin], allow_credentials=credentials)
    CORSMiddleware(allow_origins=["https://*.example.com", "http://*.example.com:8000"], allow_credentials=credentials)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://App.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("https://*.example.com:443", "https://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
async def test_an_origin_with_its_schemes_own_port_is_the_one_that_browsers_send(written: str, sent: str) -> None:
    async with TestClient(Application(ROUTES, middlewares=[CORSMiddleware(allow_origins=[written])])) as client:
        headers = (await client.get("/own2", headers={"Origin": sent})).headers
    assert headers["Access-Control-Allow-Origin"] == sent


def test_every_fault_of_the_options_is_in_one_list() -> None:
    with pytest.raises(ConfigError) as caught:
        CORSMiddleware(
            allow_origins=["https://a.example/", "example.com", "https://*", "*", 3, "https://a.*.example"],
            allow_methods=["GET POST"],
            allow_headers=["a:b"],
            allow_credentials=True,
            max_age=-1,
            paths="(",
            origins=[],
        )
    text = str(caught.value)
    for part in (
        "'origins'",
        "'https://a.example/'",
        "'example.com'",
        "'https://*'",
        "CORS['allow_origins'] = 3: must be an origin",
        "'*' would let",
    ):
        assert part in text
    assert len(caught.value.faults) == 11


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"allow_origins": None}, "None: must be an origin"),
        ({"allow_origins": 5}, "5: must be an origin"),
        ({"allow_origins": ["https://[::1"]}, r"'https://\[::1': must be an origin"),
        ({"allow_methods": None}, "None: must be the name of a method"),
        ({"expose_headers": True}, "True: must be the name of a method or header"),
        ({"allow_credentials": "no"}, r"CORS\['allow_credentials'\] = 'no': must be True or False"),
        ({"allow_credentials": 1}, r"CORS\['allow_credentials'\] = 1: must be True or False"),
    ],
)
def test_options_of_another_kind_are_faults(options: dict[str, Any], told: str) -> None:
    """Not errors of ours; and a text is no consent to credentials, whatever it says."""
    with pytest.raises(ConfigError, match=told):
        CORSMiddleware(**options)


@pytest.mark.parametrize("origins", ["*", "null", ["https://a.example", "null"], ("null", "https://*.a.example")])
def test_a_star_or_null_with_credentials_is_refused(origins: Any) -> None:
    with pytest.raises(ConfigError, match="every site act as the visitor"):
        CORSMiddleware(allow_origins=origins, allow_credentials=True)
    CORSMiddleware(allow_origins=origins)


async def test_null_is_allowed_without_credentials() -> None:
    application = Application([("/", Main)], middlewares=[CORSMiddleware(allow_origins="null")])
    async with TestClient(application) as client:
        answer = await client.get("/", headers={"Origin": "null"})
    assert answer.headers["Access-Control-Allow-Origin"] == "null"
    assert "Access-Control-Allow-Credentials" not in answer.headers
