"""Who the client of an ASGI scope is."""

import asyncio
from typing import Any

import pytest

from torngas_aio.application import Application
from torngas_aio.asgi import get_asgi_application
from torngas_aio.asgi.request import client_of
from torngas_aio.handler import WebHandler
from torngas_aio.http.proxies import TrustedProxies
from torngas_aio.settings_manager import settings


def scope(*headers: tuple[str, str], **changes: Any) -> dict[str, Any]:
    fields = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http", "scheme": "http", "client": ["127.0.0.1", 1], "headers": fields, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "127.0.0.1 http"),
        ({"scheme": "wss"}, "127.0.0.1 https"),
        ({"client": None}, "0.0.0.0 http"),
        ({"client": ["fe80::1%eth0", 1]}, "fe80::1 http"),
        ({"client": ["::1%x", 0]}, "0.0.0.0 http"),
        ({"client": ["127.0.0.1%x", 0]}, "0.0.0.0 http"),
        ({"client": ["10.0.0.1%", 0]}, "0.0.0.0 http"),
        ({"client": ["2001:db8::1%eth0", 0]}, "0.0.0.0 http"),
        ({"client": ["::ffff:10.0.0.1", 0]}, "10.0.0.1 http"),
        ({"client": ['fe80::1% - root "GET /', 1]}, "fe80::1 http"),
        ({"client": ['10.0.0.1 - root "GET /', 1]}, "0.0.0.0 http"),
        ({"client": ["unknown", 0]}, "0.0.0.0 http"),
    ],
)
def test_the_client_is_the_one_that_the_server_names(changes: dict[str, Any], expected: str) -> None:
    peer = client_of(scope(**changes))
    assert f"{peer.remote_ip} {peer.protocol}" == expected


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (["127.0.0.1", 1], ["127.0.0.1", 80], "1.2.3.4 https"),
        (["192.0.2.1", 1], ["127.0.0.1", 80], "192.0.2.1 http"),
        (None, ["/run/x", None], "1.2.3.4 https"),
        (None, ["127.0.0.1", 80], "0.0.0.0 http"),
        (None, None, "0.0.0.0 http"),
        (["", "0"], ["/run/x", "0"], "1.2.3.4 https"),
        (["", "0"], ["127.0.0.1", "80"], "0.0.0.0 http"),
        (["junk", "0"], ["/run/x", "0"], "0.0.0.0 http"),
        (["::1%x", 1], ["127.0.0.1", 80], "0.0.0.0 http"),
        (["::1", 1], ["::1", 80], "1.2.3.4 https"),
    ],
)
def test_trusted_proxies_are_believed(client: Any, server: Any, expected: str) -> None:
    sent = scope(("X-Forwarded-For", "1.2.3.4"), ("x-forwarded-proto", "https"), client=client, server=server)
    peer = client_of(sent, TrustedProxies())
    assert f"{peer.remote_ip} {peer.protocol}" == expected


class Who(WebHandler):
    async def get(self) -> None:
        self.write(f"{self.request.remote_ip} {self.request.protocol}")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "127.0.0.1 http"),  # the two addresses contradict each other
        ({"XHEADERS": False}, "127.0.0.1 http"),
        ({"TRUSTED_PROXY_HEADERS": ("X-Forwarded-For",)}, "1.2.3.4 http"),
        ({"TRUSTED_PROXY_HEADERS": ("X-Real-IP", "X-Scheme")}, "5.5.5.5 https"),
        ({"TRUSTED_PROXY_HEADERS": ("X-Real-IP",), "TRUSTED_PROXIES": ("10.0.0.0/8",)}, "127.0.0.1 http"),
    ],
)
async def test_the_settings_on_proxies_count_behind_asgi(values: dict[str, Any], expected: str) -> None:
    with settings.override(**values):
        application = get_asgi_application(Application([("/", Who)]))
    sent: list[Any] = []
    given = scope(("host", "x"), ("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "5.5.5.5"), ("x-scheme", "https"))
    messages = [{"type": "http.request"}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await application(
        {**given, "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1"}, receive, send
    )
    assert sent[1]["body"] == expected.encode()
