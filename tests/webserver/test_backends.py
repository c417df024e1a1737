"""Both front doors take the same arguments, believe the same proxies and speak TLS."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.webserver.conftest import Client, Recorder
from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.http.unix_sockets import UnixListener
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import tls_context
from torngas_aio.webserver.serving import serving

Sockets = list[socket.socket]
LOOPBACK = ("127.0.0.0/8", "::1", "unix")


async def who(recorder: Recorder, listener: Sockets, http_server: str, *headers: str, **arguments: Any) -> str:
    """What the application believes of a client that sends *headers*."""
    async with serving(recorder, make_backend(recorder, http_server, **arguments), listener):
        client = await Client.connect(listener)
        answer = await client.ask("/who", *headers)
        await client.aclose()
    return answer.rpartition("\r\n\r\n")[2]


def test_an_unknown_server_is_refused(recorder: Recorder) -> None:
    """The known ones are named."""
    with pytest.raises(ConfigError, match=r"--http_server=apache: no such server. Known are torngas_aio, tornado"):
        make_backend(recorder, "apache")


def test_an_unknown_argument_is_refused(recorder: Recorder, http_server: str) -> None:
    """Before anything listens; every wrong one is named."""
    with pytest.raises(ArgumentError, match=f"The {http_server} server takes no argument 'keepalive', 'size'"):
        make_backend(recorder, http_server, keepalive=1, size=2, no_keep_alive=True)


def test_without_httptools_tornado_s_server_is_used(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name, the missing library is an error."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert type(make_backend(recorder)).__module__ == "torngas_aio.webserver.backends"
    with pytest.raises(ConfigError, match=r"needs httptools. Install it, or give --http_server=tornado"):
        make_backend(recorder, "torngas_aio")


async def test_arguments_reach_the_server(recorder: Recorder, listener: Sockets, http_server: str) -> None:
    """no_keep_alive closes each connection after its answer."""
    async with serving(recorder, make_backend(recorder, http_server, no_keep_alive=True), listener):
        client = await Client.connect(listener)
        assert "Connection: close" in await client.ask()
        assert await client.is_closed()
        await client.aclose()


class TestProxies:
    async def test_a_trusted_proxy_is_believed(self, recorder: Recorder, listener: Sockets, http_server: str) -> None:
        """Address and scheme are the client's."""
        said = ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"]
        found = await who(recorder, listener, http_server, *said, xheaders=True, trusted_proxies=LOOPBACK)
        assert found == "198.51.100.7 https"

    async def test_the_rightmost_stranger_is_the_client(
        self, recorder: Recorder, listener: Sockets, http_server: str
    ) -> None:
        """What stands left of it was written by the client."""
        said = "X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.0.0.5"
        trusted = (*LOOPBACK, "10.0.0.0/8")
        found = await who(recorder, listener, http_server, said, xheaders=True, trusted_proxies=trusted)
        assert found == "198.51.100.7 http"

    async def test_a_stranger_is_not_believed(self, recorder: Recorder, listener: Sockets, http_server: str) -> None:
        """The peer itself must be trusted."""
        said = ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"]
        found = await who(recorder, listener, http_server, *said, xheaders=True, trusted_proxies=["10.0.0.0/8"])
        assert found == "127.0.0.1 http"

    async def test_without_xheaders_nobody_is(self, recorder: Recorder, listener: Sockets, http_server: str) -> None:
        """Not even loopback."""
        found = await who(recorder, listener, http_server, "X-Real-Ip: 9.9.9.9", trusted_proxies=LOOPBACK)
        assert found == "127.0.0.1 http"

    async def test_one_request_s_client_is_not_the_next_one_s(
        self, recorder: Recorder, listener: Sockets, http_server: str
    ) -> None:
        """A proxy sends many visitors over one connection."""
        door = make_backend(recorder, http_server, xheaders=True, trusted_proxies=LOOPBACK)
        async with serving(recorder, door, listener):
            client = await Client.connect(listener)
            assert (await client.ask("/who", "X-Forwarded-For: 9.9.9.9")).endswith("9.9.9.9 http")
            assert (await client.ask("/who")).endswith("127.0.0.1 http")
            await client.aclose()

    @pytest.mark.parametrize(
        ("headers", "said", "expected"),
        [
            (["X-Real-IP"], ["X-Real-IP: 9.9.9.9", "X-Forwarded-For: 6.6.6.6"], "9.9.9.9 http"),
            (["Forwarded"], ["Forwarded: for=9.9.9.9;proto=https", "X-Scheme: http"], "9.9.9.9 https"),
            (None, ["X-Real-IP: 9.9.9.9", "X-Forwarded-For: 6.6.6.6"], "127.0.0.1 http"),
            (None, ["X-Scheme: https", "X-Forwarded-Proto: http"], "127.0.0.1 http"),
            (None, ["X-Forwarded-For: fe80::1%25eth0"], "127.0.0.1 http"),
        ],
    )
    async def test_only_the_named_headers_are_believed(
        self,
        recorder: Recorder,
        listener: Sockets,
        http_server: str,
        headers: list[str] | None,
        said: list[str],
        expected: str,
    ) -> None:
        options = {"xheaders": True, "trusted_proxies": LOOPBACK, "trusted_headers": headers}
        assert await who(recorder, listener, http_server, *said, **options) == expected

    @pytest.mark.parametrize(("trusted", "expected"), [(LOOPBACK, "9.9.9.9 http"), (("127.0.0.1",), "0.0.0.0 http")])
    async def test_unix_sockets_are_trusted_by_their_name(
        self, recorder: Recorder, tmp_path: Path, http_server: str, trusted: tuple[str, ...], expected: str
    ) -> None:
        """`unix` in TRUSTED_PROXIES stands for the proxy on the socket."""
        path = tmp_path / "s"
        door = make_backend(recorder, http_server, xheaders=True, trusted_proxies=trusted)
        listener = await asyncio.to_thread(UnixListener, str(path), backlog=8)
        async with serving(recorder, door, [listener.socket]):
            client = await Client.connect_unix(path)
            assert (await client.ask("/who", "X-Forwarded-For: 9.9.9.9")).endswith(expected)
            await client.aclose()


async def test_tls(
    recorder: Recorder,
    listener: Sockets,
    http_server: str,
    certificate: tuple[Path, Path],
    trusting: ssl.SSLContext,
) -> None:
    """A client that checks the certificate is served, over HTTP/1.1 by ALPN, and the end waits for it as well."""
    chain, key = certificate
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    context = await asyncio.to_thread(tls_context, str(chain), str(key))
    door = make_backend(recorder, http_server, ssl_options=context)
    async with serving(recorder, door, listener):
        client = await Client.connect(listener, ssl=trusting, server_hostname="localhost")
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        assert (await client.ask("/who")).endswith("127.0.0.1 https")
    assert await client.is_closed()
    await client.aclose()
