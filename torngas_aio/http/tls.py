"""The TLS context of a server, checked before the first connection."""

import errno
import os
import ssl
import stat
from typing import Any, NoReturn

from tornado.netutil import ssl_options_to_context

from torngas_aio.exception import ConfigError

__all__ = ["load_certificate", "server_context"]

_NO_CERTIFICATE = frozenset({"NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_CERTIFICATE_SET"})

_KEYS = ("certfile", "keyfile", "password", "ssl_version", "cert_reqs", "ca_certs", "ciphers")


def server_context(ssl_options: dict[str, Any] | ssl.SSLContext) -> ssl.SSLContext:
    """Return the context for *ssl_options*.

    Args:
        ssl_options: A context, or the keywords for one, as in Tornado: `certfile`, `keyfile` and more; `password` is
            that of the key.

    Raises:
        ConfigError: No client could connect: there is no certificate, its files cannot be used, or the context is for
            clients.
    """
    context = ssl_options if isinstance(ssl_options, ssl.SSLContext) else _context_of(dict(ssl_options))
    if (reason := _fault_of(context)) is not None:
        raise ConfigError(f"ssl_options: {reason}", code="TGA801")
    return context


def load_certificate(
    context: ssl.SSLContext, certfile: str, keyfile: str | None = None, password: str | None = None
) -> None:
    """Load the PEM files into *context*, without prompting for a password or blocking on a pipe.

    Raises:
        OSError: A file is missing or cannot be used, the key does not fit, or the password is wrong.
        ValueError: The key is encrypted, and there is no password.
    """
    for path in filter(None, (certfile, keyfile)):
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
        os.close(file)
        if not is_file:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    context.load_cert_chain(certfile, keyfile, _refuse_to_ask if password is None else password)


def _refuse_to_ask() -> NoReturn:
    raise ValueError("the key is encrypted. Give ssl_options a 'password', or decrypt the key with `openssl pkey`")


def _context_of(options: dict[str, Any]) -> ssl.SSLContext:
    shown = {name: "..." if name == "password" else value for name, value in options.items()}
    if unknown := sorted(map(str, set(options) - set(_KEYS))):
        raise ConfigError(
            f"ssl_options: {', '.join(map(repr, unknown))} is not known. Known are {', '.join(_KEYS)}.", code="TGA801"
        )
    files = {name: options.pop(name, None) for name in ("certfile", "keyfile", "password")}
    if not files["certfile"]:
        raise ConfigError(
            f"ssl_options={shown!r}: there is no certificate. Give 'certfile' and 'keyfile'.", code="TGA801"
        )
    try:
        context = ssl_options_to_context(options, server_side=True)
        load_certificate(context, **files)
    except (OSError, ValueError, TypeError) as exc:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"ssl_options={shown!r}: {exc}. Give the paths of a certificate chain and its key, both PEM.",
            code="TGA801",
        ) from exc
    return context


def _fault_of(context: ssl.SSLContext) -> str | None:
    """Return why no client could connect, found by a handshake in memory; None if no fault is found."""
    if context.sni_callback is not None:  # it may choose another context, with a certificate, for each host name
        return None
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname, asking.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server)
    try:
        server = context.wrap_bio(to_server, to_client, server_side=True)
    except ssl.SSLError:
        return "the context is a client's. Make one with ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)."
    for side in (client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as exc:
            if side is server and exc.reason in _NO_CERTIFICATE:
                return "the context has no certificate. Call its load_cert_chain(certfile, keyfile)."
            return None
    return None
