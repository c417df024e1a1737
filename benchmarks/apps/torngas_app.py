"""torngas_aio through `WebHandler`, with every safety on; `torngas-tornado` is the same behind Tornado's server."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from tornado.web import stream_request_body

from benchmarks.apps.common import (
    EVENTS,
    FILES,
    MEGABYTE,
    NAME,
    NEWS,
    PAGE,
    PLAIN,
    ROWS,
    Variant,
    file_text,
    form_text,
    longest_hold,
    order_total,
)
from torngas_aio import UploadedFile, api
from torngas_aio.api import returns
from torngas_aio.application import Application
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.logger import init_logging
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.listeners import bind, tls_context
from torngas_aio.webserver.serving import run_until_stopped

ENGINE = "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"
SOCKETS: set[WebSocketHandler] = set()


class Text(WebHandler):
    def set_default_headers(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")


class Plain(Text):
    async def get(self) -> None:
        await self.finish(PLAIN)


class Json(ApiHandler):
    async def get(self) -> None:
        self.write_api({"message": PLAIN})


class User(Text):
    async def get(self, identity: str) -> None:
        await self.finish(identity)


class CookieHandler(Text):
    async def get(self) -> None:
        self.set_cookie("seen", "1")
        self.set_header("X-Extra", "1")
        await self.finish(self.get_cookie(NAME, ""))


class Table(WebHandler):
    async def get(self) -> None:
        await self.render("page.html", title="Items", rows=ROWS)


@stream_request_body
class Upload(Text):
    def initialize(self, **kwargs: Any) -> None:
        super().initialize(**kwargs)
        self.size = 0

    async def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    async def post(self) -> None:
        await self.finish(str(self.size))


class Order(ApiHandler):
    async def post(self) -> None:
        self.write_api(order_total(self.get_json_body()))


class Form(Text):
    async def post(self) -> None:
        fields = {name: values[-1].decode() for name, values in self.request.body_arguments.items()}
        await self.finish(form_text(fields))


class File(Text):
    async def post(self) -> None:
        (sent,) = self.request.files["file"]
        await self.finish(file_text(self.get_body_argument("note"), sent.filename, sent.body))


class Item(msgspec.Struct):
    sku: str
    name: str
    price: int


class TypedOrder(msgspec.Struct):
    customer: str
    items: list[Item]


class Total(msgspec.Struct):
    customer: str
    total: int


class TypedJson(ApiHandler):
    @returns(Total)
    async def post(self, order: api.Body[TypedOrder]) -> Any:
        return Total(order.customer, sum(item.price for item in order.items))


class TypedForm(Text):
    async def post(self, name: api.Form[str], age: api.Form[int], note: api.Form[str] = "") -> None:
        await self.finish(f"{name}, {age + 1}")


class TypedUpload(Text):
    async def post(self, file: api.File[UploadedFile], note: api.Form[str]) -> None:
        await self.finish(file_text(note, file.filename, await file.read()))


class Megabyte(WebHandler):
    async def get(self) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        await self.finish(MEGABYTE)


class Events(WebHandler):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        for event in EVENTS:
            self.write(event)
            await self.flush()


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


class News(WebSocketHandler):
    def open(self, *_: str, **__: str) -> None:
        SOCKETS.add(self)

    def on_message(self, message: str | bytes) -> None:
        pass

    def on_close(self) -> None:
        SOCKETS.discard(self)


class Broadcast(Text):
    async def get(self) -> None:
        application: Any = self.application
        await self.finish(await longest_hold(application.broadcast(SOCKETS, NEWS)))


class NoOp(BaseMiddleware):
    """Hooks at request, response and after it."""

    async def process_request(self, handler: Any, clear: Any) -> None:
        return None

    async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None:
        return None

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        return None


def made(variant: Variant, templates: str) -> Application:
    rules: list[Any] = [
        ("/plain", Plain),
        ("/json", Json),
        ("/user/([^/]+)", User),
        ("/cookie", CookieHandler),
        ("/page", Table),
        ("/upload", Upload),
        ("/order", Order),
        ("/form", Form),
        ("/file", File),
        ("/typed-json", TypedJson),
        ("/typed-form", TypedForm),
        ("/typed-upload", TypedUpload),
        ("/megabyte", Megabyte),
        ("/events", Events),
        ("/echo", Echo),
        ("/news", News),
        ("/broadcast", Broadcast),
        *((f"/api/v1/r{number}/([^/]+)", User) for number in variant.routes),
    ]
    return Application(
        rules,
        middlewares=[NoOp() for _ in range(variant.middlewares)],
        template_path=templates,
        static_path=str(FILES / "statics"),
    )


def serve(variant: Variant, port: int, door: str) -> None:
    with tempfile.TemporaryDirectory() as templates:
        Path(templates, "page.html").write_text(PAGE, encoding="utf-8")
        settings.configure(TEMPLATE_CONFIG={"template_engine": ENGINE})
        if variant.logs_access:
            logging.getLogger().handlers.clear()
            init_logging()
        uvloop.run(main(variant, templates, port, door))


async def main(variant: Variant, templates: str, port: int, door: str) -> None:
    application = made(variant, templates)
    tls = tls_context(str(FILES / "cert.pem"), str(FILES / "key.pem")) if variant.is_tls else None
    server = make_backend(application, door, max_body_size=2**31, ssl_options=tls)
    await run_until_stopped(application, server, bind(port, "127.0.0.1"))
