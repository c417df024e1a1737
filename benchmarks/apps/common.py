"""What every application answers, so that the answers are the same bytes.

Begin with `Variant`.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

__all__ = [
    "EVENTS",
    "FILES",
    "MEGABYTE",
    "MIDDLEWARES",
    "NAME",
    "NEWS",
    "PLAIN",
    "ROWS",
    "Variant",
    "file_text",
    "form_text",
    "longest_hold",
    "order_total",
    "page",
    "page_template",
    "wrapped",
]

PLAIN = "Hello, World!"
MIDDLEWARES = 5
NAME = "visitor"
MEGABYTE = b"0123456789abcdef" * 2**16
EVENTS = [f"data: {number}\n\n".encode() for number in range(100)]
NEWS = "n" * 128
"""What GET /broadcast sends to every WebSocket."""

FILES = Path(os.environ.get("TORNGAS_BENCH_FILES", "."))
"""Holds `statics/`, `cert.pem` and `key.pem`; see `benchmarks.files`."""

ROWS = [{"id": number, "name": f"Item <{number}>", "price": number * 1.5} for number in range(1, 21)]
PAGE = """<!doctype html>
<html><head><title>{{ title }}</title></head><body><table>
{% for row in rows %}<tr><td>{{ row.id }}</td><td>{{ row.name }}</td><td>{{ row.price }}</td></tr>
{% endfor %}</table></body></html>
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """Which application: `plain`, `middlewares` (five no-ops), `access-log`, `delivered`, `tls` or `routes-N`."""

    name: str = "plain"

    @property
    def middlewares(self) -> int:
        return MIDDLEWARES if self.name == "middlewares" else 0

    @property
    def logs_access(self) -> bool:
        """Whether each request has its line in the access log, on stdout or stderr, which are a file."""
        return self.name in {"access-log", "delivered"}

    @property
    def is_tls(self) -> bool:
        return self.name == "tls"

    @property
    def routes(self) -> range:
        """The numbers of the extra routes."""
        kind, _, count = self.name.partition("-")
        return range(int(count)) if kind == "routes" else range(0)


def page_template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True).from_string(PAGE)


def page(template: jinja2.Template) -> str:
    return template.render(title="Items", rows=ROWS)


def order_total(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a JSON POST."""
    return {"customer": order["customer"], "total": sum(item["price"] for item in order["items"])}


def form_text(form: Mapping[str, Any]) -> str:
    """Return the answer to a form of 20 fields."""
    return f"{len(form)} fields, the last is {form['field19']}"


def file_text(note: str, name: str | None, content: bytes) -> str:
    """Return the answer to a multipart form with one file."""
    return f"{note}: {name}, {len(content)} bytes"


async def longest_hold(work: Awaitable[object]) -> str:
    """Return the CPU milliseconds that the loop ran nothing else while *work* was done, at most."""
    loop = asyncio.get_running_loop()
    longest, last = 0.0, time.thread_time()  # what other processes take in between is not counted
    timers: list[asyncio.TimerHandle] = []  # the next one

    def tick() -> None:
        nonlocal longest, last
        now = time.thread_time()
        longest, last = max(longest, now - last), now
        timers[:] = [loop.call_later(0.0005, tick)]

    tick()
    try:
        await work
        await asyncio.sleep(0.002)  # the last part is counted, too
    finally:
        timers[0].cancel()
    return f"{longest * 1e3:.3f}"


class NoOp:
    """A pure ASGI middleware with a place for work before the request, at the response and after it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            await send(message)

        await self.app(scope, receive, sending)


def wrapped(app: Any, variant: Variant) -> Any:
    """*app* behind the variant's middlewares."""
    for _ in range(variant.middlewares):
        app = NoOp(app)
    return app
