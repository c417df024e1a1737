"""What is asked of every application, and what it must answer.

Begin with `WORKLOADS`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.apps.common import PLAIN, ROWS
from benchmarks.client import Answer

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


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request.

    Attributes:
        name: What `--workloads` and the tables call it.
        path: The target.
        variant: Which application is started for it; see `benchmarks.apps.common.Variant`.
        headers: Sent with each request, beside Host.
        check: Says what is wrong with an answer; None for a right one.
        is_basic: Whether the bare protocol, which has one answer, takes part.
    """

    name: str
    path: str
    check: Callable[[Answer], str | None]
    variant: str = "plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_basic: bool = False


def _text(expected: str) -> Callable[[Answer], str | None]:
    def check(answer: Answer) -> str | None:
        if answer.status == 200 and answer.body.decode() == expected:
            return None
        return f"status {answer.status}, body {answer.body[:60]!r}; expected {expected!r}"

    return check


def _json(answer: Answer) -> str | None:
    is_json = "json" in answer.headers.get("content-type", "")
    is_right = answer.status == 200 and is_json and json.loads(answer.body) == {"message": PLAIN}
    return None if is_right else f"status {answer.status}, body {answer.body[:60]!r}"


def _cookie(answer: Answer) -> str | None:
    problem = _text("8c1f6f7a")(answer)
    if problem is None and "seen=1" not in answer.headers.get("set-cookie", "").replace('"', ""):
        return f"no cookie set: {answer.headers}"
    return problem or (None if answer.headers.get("x-extra") == "1" else "no X-Extra header")


def _page(answer: Answer) -> str | None:
    text = answer.body.decode()
    rows = text.count("<tr>")
    is_right = answer.status == 200 and rows == len(ROWS) and "Item &lt;20&gt;" in text
    return None if is_right else f"status {answer.status}, {rows} rows, escaped: {'&lt;' in text}"


def _routes(count: int) -> Workload:
    return Workload(f"routes-{count}", f"/api/v1/r{count - 1}/42", _text("42"), f"routes-{count}")


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("plain", "/plain", _text(PLAIN), is_basic=True),
        Workload("headers", "/plain", _text(PLAIN), headers=BROWSER_HEADERS, is_basic=True),
        Workload("json", "/json", _json),
        Workload("parameter", "/user/42", _text("42")),
        Workload("cookies", "/cookie", _cookie, headers={"Cookie": "theme=dark; visitor=8c1f6f7a"}),
        Workload("page", "/page", _page),
        Workload("middlewares", "/plain", _text(PLAIN), "middlewares"),
        Workload("access-log", "/plain", _text(PLAIN), "access-log"),
        *(_routes(count) for count in (10, 100, 1_000, 5_000)),
    )
}
