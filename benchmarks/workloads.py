"""What is asked of every application, and what it must answer.

Begin with `WORKLOADS`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from benchmarks.apps.common import EVENTS, MEGABYTE, PLAIN, ROWS, file_text, form_text, order_total
from benchmarks.client import Answer, request_bytes
from benchmarks.files import SIZES, content

__all__ = ["WORKLOADS", "Workload"]

BROWSER_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "http://localhost/start/page?from=search",
    "Cookie": "visitor=8c1f6f7a; theme=dark; consent=yes",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Priority": "u=0, i",
}
VARIED_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:{agent}.0) Gecko/20100101 Firefox/{agent}.0",
    "Referer": "http://localhost/start/page/{n}?from=search",
    "Cookie": "visitor={n}; theme=dark; consent=yes",
}
CLOSE = {"Connection": "close"}
GZIP = {"Accept-Encoding": "gzip"}
SAMPLE = {"{n}": "123456", "{agent}": "1145"}

Check = Callable[[Answer], str | None]
Scope = Literal["bare", "simple", "full", "typed"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request. In path, headers and body, `{n}` and `{agent}` are other digits in each request.

    Attributes:
        name: What `--workloads` and the tables call it.
        path: The target.
        check: Says what is wrong with an answer; None for a right one.
        variant: Which application is started for it; see `benchmarks.apps.common.Variant`.
        headers: Sent with each request, beside Host.
        body: Sent by POST, where there is one.
        is_conditional: The request carries the validators of an answer that came before.
        scope: Who takes part: the bare protocol, which has one answer, too; every framework; those with all routes.
    """

    name: str
    path: str
    check: Check
    variant: str = "plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    is_conditional: bool = False
    scope: Scope = "full"

    def template(self, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the request as wrk sends it, with its placeholders."""
        length = {} if self.body is None else {"Content-Length": str(len(self._filled(self.body)))}
        every = {**self.headers, **length, **(headers or {})}
        method = "GET" if self.body is None else "POST"
        return request_bytes(self.path, every, method) + (self.body or b"")

    def sample(self, headers: Mapping[str, str] | None = None) -> bytes:
        """Return one request."""
        return self._filled(self.template(headers))

    @staticmethod
    def _filled(template: bytes) -> bytes:
        for placeholder, value in SAMPLE.items():
            template = template.replace(placeholder.encode(), value.encode())
        return template


def _body(expected: bytes, status: int = 200, **fields: str) -> Check:
    def check(answer: Answer) -> str | None:
        missing = {name: value for name, value in fields.items() if answer.headers.get(name.replace("_", "-")) != value}
        if answer.status == status and answer.body == expected and not missing:
            return None
        return (
            f"status {answer.status}, body {answer.body[:60]!r}, {answer.headers}; expected {expected[:60]!r} {missing}"
        )

    return check


def _text(expected: str) -> Check:
    return _body(expected.encode())


def _json(expected: object) -> Check:
    def check(answer: Answer) -> str | None:
        is_json = "json" in answer.headers.get("content-type", "")
        is_right = answer.status == 200 and is_json and json.loads(answer.body) == expected
        return None if is_right else f"status {answer.status}, body {answer.body[:60]!r}"

    return check


def _cookie(visitor: str) -> Check:
    def check(answer: Answer) -> str | None:
        problem = _text(visitor)(answer)
        if problem is None and "seen=1" not in answer.headers.get("set-cookie", "").replace('"', ""):
            return f"no cookie set: {answer.headers}"
        return problem or (None if answer.headers.get("x-extra") == "1" else "no X-Extra header")

    return check


def _page(answer: Answer) -> str | None:
    text = answer.body.decode()
    rows = text.count("<tr>")
    is_right = answer.status == 200 and rows == len(ROWS) and "Item &lt;20&gt;" in text
    return None if is_right else f"status {answer.status}, {rows} rows, escaped: {'&lt;' in text}"


def _packed(answer: Answer) -> str | None:
    is_right = answer.status == 200 and answer.headers.get("content-encoding") == "gzip"
    return None if is_right and len(answer.body) < SIZES["app.js"] else f"status {answer.status}, {answer.headers}"


def _routes(count: int) -> Workload:
    return Workload(f"routes-{count}", f"/api/v1/r{count - 1}/42", _text("42"), f"routes-{count}", scope="simple")


def _varied(workload: Workload, **changes: object) -> Workload:
    """Return *workload* with a query, a referer, cookies and a user agent of its own in each request."""
    path = str(changes.pop("path", workload.path))
    made = {"path": path + "?page={n}&from=list", "headers": {**workload.headers, **VARIED_HEADERS}, "scope": "full"}
    return replace(workload, name=f"varied-{workload.name}", **{**made, **changes})  # type: ignore[arg-type]


def _posts() -> tuple[Workload, ...]:
    order = {
        "customer": "c-{n}",
        "items": [{"sku": f"A-{item:04}", "name": "A thing to be bought", "price": item} for item in range(17)],
    }
    form = "&".join(f"field{number}=some+text+%2B{number}" for number in range(20)).encode()
    disposition = b'--b0undary\r\nContent-Disposition: form-data; name="%b'
    parts = (
        disposition % b'note"\r\n\r\ntwo words\r\n',
        disposition % b'file"; filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n',
        content(100_000),
        b"\r\n--b0undary--\r\n",
    )
    body = json.dumps(order).encode()
    fixed = Workload(
        "json-post",
        "/order",
        _json({**order_total(order), "customer": "c-100000"}),
        headers={"Content-Type": "application/json"},
        body=body.replace(b"{n}", b"100000"),
    )
    return (
        fixed,
        _varied(fixed, body=body, check=_json({**order_total(order), "customer": f"c-{SAMPLE['{n}']}"})),
        Workload(
            "form",
            "/form",
            _text(form_text({f"field{number}": f"some text +{number}" for number in range(20)})),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=form,
        ),
        Workload(
            "multipart",
            "/file",
            _text(file_text("two words", "a.bin", content(100_000))),
            headers={"Content-Type": "multipart/form-data; boundary=b0undary"},
            body=b"".join(parts),
        ),
        replace(fixed, name="typed-json", path="/typed-json", scope="typed"),
        Workload(
            "typed-form",
            "/typed-form",
            _text("Ann Lee, 42"),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=b"name=Ann+Lee&age=41&note=some+text+%2B1",
            scope="typed",
        ),
        Workload(
            "typed-upload",
            "/typed-upload",
            _text(file_text("two words", "a.bin", content(100_000))),
            headers={"Content-Type": "multipart/form-data; boundary=b0undary"},
            body=b"".join(parts),
            scope="typed",
        ),
    )


def _files() -> tuple[Workload, ...]:
    small, middle, large = ("small.css", "middle.bin", "large.bin")
    return (
        Workload("static-small", f"/static/{small}", _body(content(SIZES[small]))),
        Workload("static-100k", f"/static/{middle}", _body(content(SIZES[middle]))),
        Workload("static-3m", f"/static/{large}", _body(content(SIZES[large]))),
        Workload("static-304", f"/static/{middle}", _body(b"", 304), is_conditional=True),
        Workload("static-packed", "/static/app.js", _packed, headers=GZIP),
    )


def _gets() -> tuple[Workload, ...]:
    plain = Workload("plain", "/plain", _text(PLAIN), scope="bare")
    headers = Workload("headers", "/plain", _text(PLAIN), headers=BROWSER_HEADERS, scope="bare")
    as_json = Workload("json", "/json", _json({"message": PLAIN}), scope="simple")
    parameter = Workload("parameter", "/user/42", _text("42"), scope="simple")
    cookie = {"Cookie": "theme=dark; visitor=8c1f6f7a"}
    cookies = Workload("cookies", "/cookie", _cookie("8c1f6f7a"), headers=cookie, scope="simple")
    return (
        plain,
        headers,
        as_json,
        parameter,
        cookies,
        *(_varied(workload) for workload in (plain, headers, as_json)),
        _varied(parameter, path="/user/{n}", check=_text(SAMPLE["{n}"])),
        _varied(cookies, check=_cookie(SAMPLE["{n}"])),
        Workload("page", "/page", _page, scope="simple"),
        Workload("connect", "/plain", _text(PLAIN), headers=CLOSE),
        Workload("tls", "/plain", _text(PLAIN), "tls"),
        Workload("tls-connect", "/plain", _text(PLAIN), "tls", headers=CLOSE),
        Workload("middlewares", "/plain", _text(PLAIN), "middlewares", scope="simple"),
        Workload("access-log", "/plain", _text(PLAIN), "access-log", scope="simple"),
        Workload("delivered", "/plain", _text(PLAIN), "delivered"),
        Workload("megabyte", "/megabyte", _body(MEGABYTE)),
        Workload("events", "/events", _body(b"".join(EVENTS))),
    )


WORKLOADS = {
    workload.name: workload for workload in (*_gets(), *_posts(), *_files(), *(_routes(count) for count in (10, 5_000)))
}
