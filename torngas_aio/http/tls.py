"""The TLS context of a server, looked at before the first client is.

Begin with `server_context`.
"""

import ssl
from typing import Any

from tornado.netutil import ssl_options_to_context

from torngas_aio.exception import ConfigError

__all__ = ["server_context"]

_NO_CERTIFICATE = frozenset({"NO_SHARED_CIPHER", "NO_SUITABLE_SIGNATURE_ALGORITHM", "NO_CERTIFICATE_SET"})


def server_context(ssl_options: dict[str, Any] | ssl.SSLContext) -> ssl.SSLContext:
    """Return the context that *ssl_options* means.

    Args:
        ssl_options: A context, or the keywords for one, as in Tornado: `certfile`, `keyfile` and more.

    Raises:
        ConfigError: No client could ever connect: there is no certificate, its files cannot be used, or the context is
            a client's.
    """
    if isinstance(ssl_options, dict) and not ssl_options.get("certfile"):
        raise ConfigError(
            f"ssl_options={ssl_options!r}: there is no certificate. Give 'certfile' and 'keyfile'.", code="TGA801"
        )
    try:
        context = ssl_options_to_context(ssl_options, server_side=True)
    except (OSError, ValueError, TypeError) as exc:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"ssl_options={ssl_options!r}: {exc}. Give the paths of a certificate chain and its key, both PEM.",
            code="TGA801",
        ) from exc
    if (reason := _fault_of(context)) is not None:
        raise ConfigError(f"ssl_options: {reason}", code="TGA801")
    return context


def _fault_of(context: ssl.SSLContext) -> str | None:
    """Why no client could connect, found by a handshake in memory; None where nothing speaks against it."""
    if context.sni_callback is not None:  # it may choose another context, with a certificate, for each host
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
