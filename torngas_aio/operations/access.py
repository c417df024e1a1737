"""Access to details beyond up or down. The inspector's rules are stricter.

peer           the socket's address; headers are ignored
forwarded      refused: the client behind a proxy cannot be identified reliably
Host           must name this machine; any other name may be DNS rebinding by a page of another site
"""

from typing import Any

from tornado.httputil import HTTPServerRequest

from torngas_aio.settings_manager import settings
from torngas_aio.utils.hosts import FORWARDED_HEADERS, LOCAL_HOSTS, Networks, is_host_allowed, is_loopback, parse_host
from torngas_aio.utils.narrowing import is_list_or_tuple

__all__ = ["is_own_page", "may_see_details"]

_FORWARDING = (*FORWARDED_HEADERS, "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", "Via")


def may_see_details(request: HTTPServerRequest) -> bool:
    """Return whether *request* comes from this machine, or from a network of HEALTH['networks'].

    On the management listener every other machine is allowed as well: being able to reach it is the permission.
    """
    if _is_forwarded(request):
        return False
    if getattr(request, "is_management", False) and not _is_from_loopback(request):
        return True
    named = settings.HEALTH.get("networks", ())
    return (bool(named) and str(request.remote_ip or "") in Networks(named)) or _is_local(request)


def is_own_page(request: HTTPServerRequest) -> bool:
    """Return whether *request* comes from this machine, and not from a page of another site."""
    return not _is_forwarded(request) and _is_local(request)


def _is_forwarded(request: HTTPServerRequest) -> bool:
    return any(name in request.headers for name in (*_FORWARDING, *(settings.TRUSTED_PROXY_HEADERS or ())))


def _is_from_loopback(request: HTTPServerRequest) -> bool:
    address: Any = getattr(getattr(request.connection, "context", None), "address", None)
    host: Any = address[0] if is_list_or_tuple(address) and address else None  # a Unix socket's address is a path
    return host is not None and is_loopback(host)


def _is_local(request: HTTPServerRequest) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:  # sent by a page of another site
        return False
    hosts = request.headers.get_list("Host")
    host = parse_host(hosts[0]) if len(hosts) == 1 else None
    return _is_from_loopback(request) and host is not None and is_host_allowed(host, LOCAL_HOSTS)
