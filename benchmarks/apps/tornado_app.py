"""Plain Tornado: its own application and server, on uvloop."""

import asyncio
import ssl
from typing import Any

import uvloop
from tornado import web
from tornado.escape import json_decode
from tornado.httpserver import HTTPServer
from tornado.websocket import WebSocketHandler

from benchmarks.apps.common import (
    EVENTS,
    FILES,
    MEGABYTE,
    NAME,
    NEWS,
    PLAIN,
    Variant,
    file_text,
    form_text,
    longest_hold,
    order_total,
    page,
    page_template,
)

TEMPLATE = page_template()
SOCKETS: set[WebSocketHandler] = set()


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


class Order(web.RequestHandler):
    async def post(self) -> None:
        self.finish(order_total(json_decode(self.request.body)))


class Form(Text):
    async def post(self) -> None:
        self.finish(form_text({name: values[-1].decode() for name, values in self.request.body_arguments.items()}))


class File(Text):
    async def post(self) -> None:
        (sent,) = self.request.files["file"]
        self.finish(file_text(self.get_body_argument("note"), sent.filename, sent.body))


class Megabyte(web.RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.finish(MEGABYTE)


class Events(web.RequestHandler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        for event in EVENTS:
            self.write(event)
            await self.flush()


class Echo(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


class News(WebSocketHandler):
    def open(self, *_: str, **__: str) -> None:
        SOCKETS.add(self)

    def on_message(self, message: str | bytes) -> None:
        pass

    def on_close(self) -> None:
        SOCKETS.discard(self)


class Broadcast(Text):
    async def get(self) -> None:
        self.finish(await longest_hold(send_news()))


async def send_news() -> None:
    for handler in list(SOCKETS):
        await handler.write_message(NEWS)


HANDLERS: list[Any] = [
    ("/plain", Plain),
    ("/json", Json),
    ("/user/([^/]+)", User),
    ("/cookie", CookieHandler),
    ("/page", Table),
    ("/upload", Upload),
    ("/order", Order),
    ("/form", Form),
    ("/file", File),
    ("/megabyte", Megabyte),
    ("/events", Events),
    ("/echo", Echo),
    ("/news", News),
    ("/broadcast", Broadcast),
]


def serve(variant: Variant, port: int, _: str) -> None:
    uvloop.run(main(variant, port))


async def main(variant: Variant, port: int) -> None:
    routes = [(f"/api/v1/r{number}/([^/]+)", User) for number in variant.routes]
    settings: dict[str, Any] = {} if variant.logs_access else {"log_function": lambda _: None}
    context = None
    if variant.is_tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(FILES / "cert.pem", FILES / "key.pem")
    application = web.Application([*HANDLERS, *routes], static_path=str(FILES / "statics"), **settings)
    HTTPServer(application, ssl_options=context).listen(port, "127.0.0.1", backlog=2048)
    await asyncio.Event().wait()
