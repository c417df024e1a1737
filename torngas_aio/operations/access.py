"""Who may see more than up and down. Begin with `may_see_details`."""

from typing import Any

from torngas_aio.settings_manager import settings
from torngas_aio.utils.addresses import Networks, is_loopback

__all__ = ["may_see_details"]

_FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Host", "Via")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


def may_see_details(request: Any) -> bool:
    """Return whether *request* comes from this machine itself, or from a network of HEALTH['networks'].

    The peer's own address counts. A request that a proxy has forwarded is not of this machine, nor one whose Host is
    another name: a page of another site may have had its name point here.
    """
    peer = str(getattr(request, "remote_ip", "") or "")
    is_forwarded = any(name in request.headers for name in _FORWARDING)
    if is_forwarded:
        return False
    named = settings.HEALTH.get("networks", ())
    if named and peer in Networks(named):
        return True
    host = str(request.headers.get("Host", ""))
    name = host if host in _LOCAL_HOSTS else host.rpartition(":")[0]
    return is_loopback(peer) and name in _LOCAL_HOSTS
