"""Checks of request target and Host, the same on every server. SPEC: RFC 9112 3.2 and 3.3, RFC 3986 3.2.2 and 3.3.

/path?query               visible ASCII only: other characters must be percent-encoded
http://host/path?query    with the same host as the Host field; `*` for OPTIONS
Host                      name, IPv4 or [IPv6], port; may be empty; no encoded control characters
"""

import re

from tornado.httputil import HTTPHeaders, HTTPInputError, RequestStartLine

from torngas_aio.utils.numbers import parse_whole
from torngas_aio.utils.text import is_token

__all__ = ["check_line", "is_host", "path_of"]

# SPEC: RFC 3986 7.3: no %00 or other control character in a name
_ENCODED = rb"%(?:[2-689A-Fa-f][0-9A-Fa-f]|7[0-9A-Ea-e])"
is_host = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+;=]|" + _ENCODED + rb")*"
    rb"|\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+;=:]+\])(?::[0-9]{0,5})?"
).fullmatch
_is_unfit = re.compile(rb"[\x00-\x20\x7f]").search
_absolute = re.compile(rb"https?://([^/?#]+)([/?].*)?", re.IGNORECASE).fullmatch


def path_of(method: str, target: bytes, host: bytes | None) -> str:
    """Return the path and query of *target*.

    Args:
        host: The Host field.

    Raises:
        ValueError: It is malformed, or names another host.
    """
    if not target.isascii():
        raise ValueError("The target holds bytes beyond ASCII; send them percent-encoded.")
    if _is_unfit(target):
        raise ValueError("The target holds a space or a control character; send it percent-encoded.")
    if target.startswith(b"/") and b"#" not in target:
        return target.decode()
    if target == b"*" and method == "OPTIONS":
        return "*"
    whole = None if b"#" in target else _absolute(target)
    if whole is None:
        raise ValueError("The target is neither a path nor a URL.")
    # SPEC: RFC 9112 3.2.2: the target's authority overrides Host. A difference is refused, because a proxy may
    # have used the other one.
    if host is None or host.lower() != whole[1].lower():
        raise ValueError("The target and the Host field name different hosts.")
    path = (whole[2] or b"/").decode()
    return path if path.startswith("/") else f"/{path}"


def check_line(line: RequestStartLine, headers: HTTPHeaders) -> RequestStartLine:
    """Return the start line with a path as its target, for heads that another server's parser has read.

    A Content-Length must be one number; other parsers accept "3, 3".
    An `Upgrade` in HTTP/1.0 is removed from *headers*. SPEC: RFC 9110 7.8

    Raises:
        HTTPInputError: Method, target, Host or Content-Length is malformed, or HTTP/1.0 with a transfer coding.
    """
    if not is_token(line.method):
        raise HTTPInputError("The method is not a token.")
    if "Content-Length" in headers and parse_whole(headers["Content-Length"]) is None:
        raise HTTPInputError("Content-Length is not a number of bytes.")
    host = headers.get("Host")
    raw_host = None if host is None else host.encode("latin-1", "replace")
    if raw_host is not None and not is_host(raw_host):
        raise HTTPInputError("The Host field is not a valid host.")
    if line.version == "HTTP/1.0":
        headers.pop("Upgrade", None)
        if "Transfer-Encoding" in headers:  # SPEC: RFC 9112 6.1
            raise HTTPInputError("HTTP/1.0 has no Transfer-Encoding.")
    try:
        return line._replace(path=path_of(line.method, line.path.encode("utf-8"), raw_host))
    except ValueError as exc:
        raise HTTPInputError(str(exc)) from exc
