"""The application that the ASGI servers under test serve; what happens in it is printed, line by line."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from tornado.web import RequestHandler, stream_request_body
from tornado.websocket import WebSocketHandler as TornadoWebSocketHandler

from torngas_aio.application import Application
from torngas_aio.asgi import get_asgi_application
from torngas_aio.handler import WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware

seen: ContextVar[str] = ContextVar("seen", default="nothing")


def note(line: str) -> None:
    print(f"note: {line}", flush=True)  # noqa: T201  the test reads it


class Notes(BaseMiddleware):
    async def process_init(self, application: Any) -> None:
        note("init")

    async def process_request(self, handler: Any, clear: Any) -> Any:
        if handler.get_argument("guard", None):
            handler.set_status(401)
            handler.finish("guarded")
            return True
        return None

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        note(f"endcall {handler.request.path}")

    async def process_shutdown(self, application: Any) -> None:
        note("shutdown")


class Echo(WebHandler):
    async def get(self) -> None:
        before, _ = seen.get(), seen.set(self.get_argument("name", "me"))
        self.add_header("Set-Cookie", "a=1")
        self.add_header("Set-Cookie", "b=2")
        self.write({"before": before, "path": self.request.path, "uri": self.request.uri, "ip": self.request.remote_ip})

    async def post(self) -> None:
        self.write(self.request.body)

    async def delete(self) -> None:
        self.set_status(204)


class Down(WebHandler):
    """64 MiB, a piece at a time; says how far it got while nobody reads."""

    async def get(self) -> None:
        for number in range(1024):
            self.write(b"x" * 65536)
            await self.flush()
            if number % 128 == 0:
                note(f"sent {number}")


@stream_request_body
class Up(WebHandler):
    size = 0

    def data_received(self, chunk: bytes) -> None:
        self.size += len(chunk)

    async def post(self) -> None:
        self.write(str(self.size))


class Waiting(WebHandler):
    def on_connection_close(self) -> None:
        note("client left")
        self.left.set()

    async def get(self) -> None:
        self.left = asyncio.Event()
        note("waiting")
        await self.left.wait()
        self.write("too late")


class Streaming(WebHandler):
    """Sends until the stop."""

    async def get(self) -> None:
        note("streaming")
        is_stopping = self.application.is_stopping
        while not is_stopping:
            self.write("on ")
            await self.flush()
            with suppress(TimeoutError):
                await asyncio.wait_for(is_stopping.wait(), 0.05)
        self.write("end")


class Cut(WebHandler):
    """Fails after its header and a part of its body have been taken."""

    async def get(self) -> None:
        self.write(b"x" * 200_000)
        await self.flush()
        raise LookupError("broken")


class Reverse(WebSocketHandler):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "b" if "b" in subprotocols else None

    def on_message(self, message: str | bytes) -> None:
        if message == "fail":
            raise ZeroDivisionError
        if message == "close":
            self.close(4001, "enough")
        else:
            self.write_message(message[::-1], binary=isinstance(message, bytes))

    def on_close(self) -> None:
        note(f"closed {self.close_code}")


class Foreign(RequestHandler):
    def get(self) -> None:
        self.write("foreign")


class ForeignReverse(TornadoWebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message[::-1], binary=isinstance(message, bytes))


application = get_asgi_application(
    Application(
        [
            (r"/echo(?:/.*)?", Echo), (r"/down", Down), (r"/up", Up), (r"/cut", Cut),
            (r"/streaming", Streaming), (r"/waiting", Waiting), (r"/reverse", Reverse),
            (r"/foreign", Foreign), (r"/foreign-reverse", ForeignReverse),
        ],
        middlewares=[Notes],
        debug=False,
    )
)  # fmt: skip
