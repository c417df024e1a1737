r"""Validation of redirect targets from untrusted input, such as `?next=`.

"/inbox?page=2"                                safe: this site
"https://shop.example.com/x"                   safe if `allowed_hosts` matches the host
"//evil"  "/\evil"  "\t//evil"  "/%2fevil"     unsafe: browsers, proxies or a second decoding leave the site
"javascript:..."  "https:evil"  "https://a@b"  unsafe
"""

import re
import unicodedata
from collections.abc import Collection
from urllib.parse import unquote

from torngas_aio.utils.hosts import is_host_allowed, parse_host

__all__ = ["is_safe_redirect", "safe_redirect_target"]

MAX_DECODINGS = 4
MAX_URL_LENGTH = 8192

_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)", re.IGNORECASE)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENDS_PATH = re.compile(r"[?#]")


def safe_redirect_target(
    url: str | bytes | None, allowed_hosts: Collection[str] = (), default: str = "/", *, require_https: bool = False
) -> str:
    """Return *url* if `is_safe_redirect` accepts it, else *default*."""
    if isinstance(url, bytes):
        url = url.decode("utf-8", "replace")
    return url if url and is_safe_redirect(url, allowed_hosts, require_https=require_https) else default


def is_safe_redirect(url: str | None, allowed_hosts: Collection[str] = (), *, require_https: bool = False) -> bool:
    r"""Return whether a redirect to *url* stays on this site or on one of *allowed_hosts*.

    Refused, in this order: empty URLs and those above 8 KiB; control characters and surrounding space (browsers ignore
    them); a backslash before the query (browsers read a slash); an absolute URL of another host; a path that starts
    with two slashes or, decoded or normalised, contains any of the above.

    Args:
        allowed_hosts: Host patterns: `example.com`, `.example.com` with all subdomains, `example.com:8443`.
        require_https: Refuse absolute `http:` URLs even to allowed hosts.
    """
    if not url or len(url) > MAX_URL_LENGTH or url != url.strip() or _CONTROLS.search(url):
        return False
    if "\\" in _path_of(url):
        return False
    absolute = _ABSOLUTE.match(url)
    if absolute:
        scheme, authority = absolute.groups()
        host = parse_host(authority)
        is_secure = scheme.lower() == "https" or not require_https
        return is_secure and host is not None and is_host_allowed(host, allowed_hosts)
    return _is_own_path(url)


def _is_own_path(url: str) -> bool:
    """Return whether *url*'s path stays on this site after any number of decodings."""
    path = _path_of(url)
    for _ in range(MAX_DECODINGS):
        if not _stays_here(path) or not _stays_here(unicodedata.normalize("NFKC", path)):
            return False
        decoded = unquote(path)
        if decoded == path:
            return True
        path = decoded
    return False


def _stays_here(path: str) -> bool:
    if path.startswith("//") or "\\" in path or path != path.lstrip() or _CONTROLS.search(path):
        return False
    return ":" not in path.split("/", 1)[0]  # a first segment with a colon is a scheme


def _path_of(url: str) -> str:
    return _ENDS_PATH.split(url, maxsplit=1)[0]
