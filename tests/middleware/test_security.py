"""Headers that browsers heed, and hosts that are answered."""

import asyncio
import logging
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler
from torngas_aio.logger import OutageLog
from torngas_aio.middleware import security
from torngas_aio.middleware.security import AllowedHostsMiddleware, SecurityHeadersMiddleware, csp_nonce
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


class Main(WebHandler):
    async def get(self) -> None:
        self.write(self.request.host)


class Framed(WebHandler):
    async def get(self) -> None:
        self.set_header("X-Frame-Options", "SAMEORIGIN")


class Scripted(WebHandler):
    async def get(self) -> None:
        self.write(f"{csp_nonce(self)} {csp_nonce(self)}")


class Fails(WebHandler):
    async def get(self) -> None:
        raise ValueError


ROUTES = [("/", Main), ("/framed", Framed), ("/scripted", Scripted), ("/fails", Fails)]


@pytest.mark.parametrize("path", ["/", "/nothing", "/fails"])
async def test_every_answer_has_the_headers_errors_too(path: str) -> None:
    async with TestClient(Application(ROUTES, middlewares=[SecurityHeadersMiddleware])) as client:
        headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Content-Security-Policy" not in headers


async def test_the_names_of_headers_are_the_same_in_any_case() -> None:
    chosen = {"x-frame-options": "SAMEORIGIN", "strict-transport-security": "max-age=60", "SERVER": "own"}
    async with TestClient(Application(ROUTES, middlewares=[SecurityHeadersMiddleware(chosen)])) as client:
        headers = (await client.get("/")).headers
    assert headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert headers.get_list("Server") == ["own"]
    assert "Strict-Transport-Security" not in headers


async def test_the_servers_name_is_replaced_where_the_handler_has_read_its_headers() -> None:
    class Reads(WebHandler):
        async def get(self) -> None:
            self.write(self._headers["Content-Type"])

    class Names(Reads):
        async def get(self) -> None:
            await super().get()
            self.set_header("Server", "handler")

    hook = SecurityHeadersMiddleware({"Server": "own"})
    async with TestClient(Application([("/reads", Reads), ("/names", Names)], middlewares=[hook])) as client:
        assert (await client.get("/reads")).headers.get_list("Server") == ["own"]
        assert (await client.get("/names")).headers.get_list("Server") == ["handler"]


async def test_a_handlers_own_header_and_the_settings_go_before() -> None:
    chosen: dict[str, str | None] = {"Referrer-Policy": None, "X-Own": "yes", "Strict-Transport-Security": "max-age=60"}
    with settings.override(SECURITY_HEADERS=chosen):
        application = Application(ROUTES, middlewares=[SecurityHeadersMiddleware])
    async with TestClient(application) as client:
        headers = (await client.get("/framed")).headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["X-Own"] == "yes"
        assert "Referrer-Policy" not in headers
        assert "Strict-Transport-Security" not in headers
    async with TestClient(application, server_options={"xheaders": True}) as client:
        forwarded = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "https"}
        headers = (await client.get("/", headers=forwarded)).headers
        assert headers["Strict-Transport-Security"] == "max-age=60"


async def test_each_request_has_a_nonce_of_its_own() -> None:
    guard = SecurityHeadersMiddleware({"Content-Security-Policy": "script-src 'nonce-{nonce}'"})
    async with TestClient(Application(ROUTES, middlewares=[guard])) as client:
        one, two = await asyncio.gather(client.get("/scripted"), client.get("/scripted"))
    nonce, again = one.text.split()
    assert nonce == again
    assert len(nonce) >= 22
    assert one.headers["Content-Security-Policy"] == f"script-src 'nonce-{nonce}'"
    assert nonce not in two.text


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", 3, True, "日本"])
def test_a_header_that_is_no_line_of_text_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"SECURITY_HEADERS\['X-Own'\]"):
        SecurityHeadersMiddleware({"X-Own": value})


@pytest.mark.parametrize("name", ["X Own", "", "X:", "Ü", "X\r\nY"])
def test_a_name_that_no_header_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="under the name of a header"):
        SecurityHeadersMiddleware({name: "yes"})


@pytest.mark.parametrize("way", ["add_header", "_headers", "set_header"])
async def test_a_header_of_the_handler_stays_however_it_was_set(way: str) -> None:
    class Own(WebHandler):
        async def get(self) -> None:
            if way == "_headers":
                self._headers["X-Frame-Options"] = "SAMEORIGIN"
            else:
                getattr(self, way)("X-Frame-Options", "SAMEORIGIN")

    async with TestClient(Application([("/", Own)], middlewares=[SecurityHeadersMiddleware])) as client:
        headers = (await client.get("/")).headers
    assert headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]
    assert headers["X-Content-Type-Options"] == "nosniff"


HOSTS = ("example.com", ".shop.example", "local:8443", "::1")


async def ask(port: int, host: str, path: str = "/") -> int:
    """The status that the server answers to this very Host line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1"))
    line = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize(
    "host",
    ["example.com", "EXAMPLE.COM:81", "example.com.", "a.shop.example", "local:8443", "[::1]:80", "shop.example"],
)
async def test_an_allowed_host_is_answered(host: str) -> None:
    async with TestClient(Application(ROUTES, middlewares=[AllowedHostsMiddleware(HOSTS)])) as client:
        assert [await ask(client.port, host) for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "host",
    [
        "evil.com", "example.com.evil.com", "evilexample.com", "example.com@evil.com",
        "example.com:80@evil.com",
        "example.com:80:80", "example.com:x", "local", "local:8444", "example.com/",
        "example.com, evil.com", "exa mple.com",
        "evil.com#example.com", "127.0.0.1", "[::2]", "", ".shop.example", "a..shop.example",
        "example.com\\evil.com",
        "%65xample.com", "é.com",
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/nothing"])
async def test_any_other_host_is_answered_400_before_a_route_is_looked_for(host: str, path: str) -> None:
    application = Application(ROUTES, middlewares=[AllowedHostsMiddleware(list(HOSTS))])
    async with TestClient(application) as client:
        assert await ask(client.port, host, path) == 400


async def test_scanners_make_one_line_at_info_not_a_warning_each(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("torngas_aio.security")
    monkeypatch.setattr(security, "_refusals", OutageLog(logger, logging.INFO, seconds=60.0))
    caplog.set_level(logging.INFO)
    application = Application(ROUTES, middlewares=[AllowedHostsMiddleware(list(HOSTS))])
    async with TestClient(application) as client:
        assert [await ask(client.port, f"evil{number}.com", "/") for number in range(5)] == [400] * 5
    told = [record for record in caplog.records if "evil" in record.getMessage()]
    assert [(record.levelname, record.getMessage()) for record in told] == [
        ("INFO", "The host 'evil0.com' is not among ALLOWED_HOSTS."),
    ]


async def test_hosts_are_those_of_the_settings_and_with_debug_this_machines() -> None:
    with settings.override(ALLOWED_HOSTS=("example.com",), DEBUG=False):
        strict = Application(ROUTES, middlewares=[AllowedHostsMiddleware])
    with settings.override(ALLOWED_HOSTS=(), DEBUG=True):
        local = Application(ROUTES, middlewares=[AllowedHostsMiddleware])
    async with TestClient(strict) as client:
        assert await ask(client.port, "example.com") == 200
        assert (await client.get("/")).status_code == 400
    async with TestClient(local) as client:
        assert (await client.get("/")).status_code == 200
        assert await ask(client.port, "app.localhost") == 200
        assert await ask(client.port, "example.com") == 400


async def test_forged_hosts_in_any_number_are_not_remembered() -> None:
    guard = AllowedHostsMiddleware([".example.com"])
    assert not any(guard._is_allowed(f"{number}.evil.com") for number in range(300))
    assert all(guard._is_allowed(f"{number}.example.com") for number in range(300))
    assert 0 < len(guard._known) < 250


def test_a_star_as_the_first_label_stands_for_the_domain_and_all_below_it() -> None:
    guard = AllowedHostsMiddleware(["*.example.com"])
    assert all(guard._is_allowed(host) for host in ("example.com", "a.example.com", "a.b.example.com:8443"))
    assert not any(guard._is_allowed(host) for host in ("badexample.com", "example.com.evil.org"))


def test_a_star_allows_every_host_that_is_one() -> None:
    guard = AllowedHostsMiddleware(["*"])
    assert guard._is_allowed("anything.at.all:80")
    assert not guard._is_allowed("two words")


@pytest.mark.parametrize("hosts", [("a b",), ("",), ("http://example.com",), (3,), ("*example.com",), ("example.*",)])
def test_a_pattern_that_is_no_host_is_refused(hosts: Any) -> None:
    with pytest.raises(ConfigError, match="is not a host"):
        AllowedHostsMiddleware(hosts)


def test_without_hosts_and_without_debug_it_does_not_start() -> None:
    with settings.override(ALLOWED_HOSTS=(), DEBUG=False), pytest.raises(ConfigError, match="ALLOWED_HOSTS is empty"):
        AllowedHostsMiddleware()
