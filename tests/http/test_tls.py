"""A TLS context with which no client could connect is refused before the first one tries."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.http.server import HTTPServer
from torngas_aio.http.tls import server_context
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import tls_context


@pytest.fixture
def pems(authority: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    issued = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    return str(chain), str(key)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def _with_sni() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda *_: None
    return context


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


IMPOSSIBLE: list[tuple[Callable[[], Any], str]] = [
    (dict, "there is no certificate"),
    (lambda: {"keyfile": "key.pem"}, "there is no certificate"),
    (lambda: {"certfile": ""}, "there is no certificate"),
    (lambda: {"certfile": "/no/such/file"}, "No such file"),
    (lambda: {"certfile": str(Path(__file__).parent)}, "No such file"),
    (lambda: {"certfile": __file__, "keyfile": "/no/such/file"}, "No such file"),
    (lambda: {"certfile": __file__, "key": "x"}, "'key' is not known"),
    (lambda: {"certfile": __file__}, "Give the paths of a certificate chain"),
    (lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), "the context has no certificate"),
    (lambda: _old(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), "the context has no certificate"),
    (lambda: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), "the context has no certificate"),
    (ssl.create_default_context, "the context is a client's"),
]


@pytest.mark.parametrize(("make", "message"), IMPOSSIBLE)
@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"])
def test_what_cannot_work_is_refused(make: Callable[[], Any], message: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_backend(Application(), kind, ssl_options=make())


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("verify", [ssl.CERT_NONE, ssl.CERT_REQUIRED])
def test_what_works_is_taken(pems: tuple[str, str], verify: ssl.VerifyMode, older: bool) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*pems)
    context.verify_mode = verify
    if older:
        _old(context)
    assert server_context(context) is context
    assert isinstance(server_context({"certfile": pems[0], "keyfile": pems[1]}), ssl.SSLContext)


@pytest.mark.parametrize("password", [None, "", "wrong", "hunter2"])
def test_the_password_of_a_key_is_never_asked_for(authority: trustme.CA, tmp_path: Path, password: str | None) -> None:
    """A server has nobody at its terminal; nor does its message show a password."""
    issued = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(chain)
    private = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"hunter2")
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    options = {"certfile": str(chain), "keyfile": str(key), "password": password}
    if password == "hunter2":
        assert isinstance(server_context(options), ssl.SSLContext)
        return
    with pytest.raises(ConfigError, match="the key is encrypted" if password is None else "ssl_options=") as caught:
        server_context(options)
    assert "wrong" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"--keyfile=.*the key is encrypted"):
        tls_context(str(chain), str(key))


@pytest.mark.parametrize("kind", ["torngas_aio", "tornado"])
def test_a_pipe_is_not_waited_for(pems: tuple[str, str], tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="No such file"):
        make_backend(Application(), kind, ssl_options={"certfile": pems[0], "keyfile": str(tmp_path / "pipe")})


def test_a_context_that_chooses_by_host_is_taken() -> None:
    context = _with_sni()
    assert server_context(context) is context


def test_a_server_of_one_s_own_looks_too() -> None:
    with pytest.raises(ConfigError, match="there is no certificate"):
        HTTPServer(Application(), ssl_options={})
