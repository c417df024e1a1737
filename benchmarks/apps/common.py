"""What every application answers, so that the answers are the same bytes.

Begin with `Variant`.
"""

from dataclasses import dataclass
from typing import Any

import jinja2

__all__ = ["MIDDLEWARES", "NAME", "PLAIN", "ROWS", "Variant", "page", "page_template", "wrapped"]

PLAIN = "Hello, World!"
MIDDLEWARES = 5
NAME = "visitor"
ROWS = [{"id": number, "name": f"Item <{number}>", "price": number * 1.5} for number in range(1, 21)]
PAGE = """<!doctype html>
<html><head><title>{{ title }}</title></head><body><table>
{% for row in rows %}<tr><td>{{ row.id }}</td><td>{{ row.name }}</td><td>{{ row.price }}</td></tr>
{% endfor %}</table></body></html>
"""


@dataclass(frozen=True, slots=True)
class Variant:
    """Which application: `plain`, `middlewares` (five that do nothing), `access-log`, or `routes-N`."""

    name: str = "plain"

    @property
    def middlewares(self) -> int:
        return MIDDLEWARES if self.name == "middlewares" else 0

    @property
    def logs_access(self) -> bool:
        """Whether each request has its line in the access log, on stdout or stderr."""
        return self.name == "access-log"

    @property
    def routes(self) -> range:
        """The numbers of the extra routes."""
        kind, _, count = self.name.partition("-")
        return range(int(count)) if kind == "routes" else range(0)


def page_template() -> jinja2.Template:
    return jinja2.Environment(autoescape=True).from_string(PAGE)


def page(template: jinja2.Template) -> str:
    return template.render(title="Items", rows=ROWS)


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
