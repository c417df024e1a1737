"""Plain Tornado: its own application and server, on uvloop."""

import asyncio
from typing import Any

import uvloop
from tornado import web
from tornado.httpserver import HTTPServer

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template

TEMPLATE = page_template()


class Text(web.RequestHandler):
    def set_default_headers(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")


class Plain(Text):
    async def get(self) -> None:
        self.finish(PLAIN)


class Json(web.RequestHandler):
    async def get(self) -> None:
        self.finish({"message": PLAIN})


class User(Text):
    async def get(self, identity: str) -> None:
        self.finish(identity)


class CookieHandler(Text):
    async def get(self) -> None:
        self.set_cookie("seen", "1")
        self.set_header("X-Extra", "1")
        self.finish(self.get_cookie(NAME, ""))


class Table(web.RequestHandler):
    async def get(self) -> None:
        self.finish(page(TEMPLATE))


@web.stream_request_body
class Upload(Text):
    def initialize(self) -> None:
        self.size = 0

    def prepare(self) -> None:
        self.request.connection.set_max_body_size(2**31)  # type: ignore[union-attr]

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    async def post(self) -> None:
        self.finish(str(self.size))


HANDLERS: list[Any] = [
    ("/plain", Plain),
    ("/json", Json),
    ("/user/([^/]+)", User),
    ("/cookie", CookieHandler),
    ("/page", Table),
    ("/upload", Upload),
]


def serve(variant: Variant, port: int, _: str) -> None:
    uvloop.run(main(variant, port))


async def main(variant: Variant, port: int) -> None:
    routes = [(f"/api/v1/r{number}/([^/]+)", User) for number in variant.routes]
    settings: dict[str, Any] = {} if variant.logs_access else {"log_function": lambda _: None}
    application = web.Application([*HANDLERS, *routes], **settings)
    HTTPServer(application).listen(port, "127.0.0.1", backlog=2048)
    await asyncio.Event().wait()
