"""An observer that notes what it is told, and an application to observe."""

import asyncio
from typing import Any

from torngas_aio import Application
from torngas_aio.context import ORDER_SESSION, ORDER_TRANSACTION, scope_of
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.operations.observed import observe
from torngas_aio.operations.observing import STAGES, Observation, Observer, Stage
from torngas_aio.urlhelper import Url


class Recorder(Observer):
    def __init__(self, *, wants_hooks: bool = False) -> None:
        self.wants_hooks = wants_hooks
        self.stages: list[tuple[str, str]] = []
        self.own_seconds = 0.0
        self.started = 0
        self.ended: list[tuple[str, str, int, int, int]] = []
        self.done = asyncio.Event()

    def request_started(self, observation: Observation) -> bool:
        self.started += 1
        return True

    def stage_ended(self, observation: Observation, stage: Stage) -> None:
        assert stage.name in STAGES
        assert 0 <= stage.own_seconds <= stage.seconds
        assert stage.started >= observation.started
        self.own_seconds += stage.own_seconds
        self.stages.append((stage.name, stage.label))

    def request_ended(self, observation: Observation) -> None:
        assert self.own_seconds <= observation.seconds
        self.own_seconds = 0.0
        method = str(observation.request.method)
        sizes = observation.received_bytes, observation.sent_bytes
        self.ended.append((observation.route_name, method, observation.status, *sizes))
        self.done.set()

    async def whole(self, count: int = 1) -> list[tuple[str, str, int, int, int]]:
        while len(self.ended) < count:
            self.done.clear()
            await self.done.wait()
        return self.ended


class Every(BaseMiddleware):
    async def process_call(self, request: Any, clear: Any) -> None: ...
    async def process_request(self, handler: Any, clear: Any) -> None: ...
    async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> None: ...
    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None: ...
    async def process_endcall(self, handler: Any, clear: Any) -> None: ...
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None: ...


class Plain(WebHandler):
    def get(self) -> None:
        self.write("12345")

    head = get

    async def post(self) -> None:
        await asyncio.sleep(0)
        await self.finish(str(len(self.request.body)))


class Page(WebHandler):
    def get_template_path(self) -> str:
        return str(self.settings["pages"])

    async def get(self) -> None:
        self.render("page.html", name="x")

    async def post(self) -> None:
        self.write(await self.render_string("page.html", name="y"))


class Stores(WebHandler):
    async def get(self) -> None:
        async def settle(outcome: Any) -> None: ...

        scope_of(self.request).add("transaction", 1, order=ORDER_TRANSACTION, settle=settle)
        scope_of(self.request).add("session", 1, order=ORDER_SESSION, settle=settle)
        self.finish("kept")


class Fails(ApiHandler):
    async def get(self) -> None:
        raise ZeroDivisionError


class Streams(WebHandler):
    async def get(self) -> None:
        for _ in range(3):
            self.write("abc")
            await self.flush()


class Echo(WebSocketHandler):
    def on_message(self, message: Any) -> None:
        self.write_message(message)


URLS = [
    Url()("/plain", Plain, name="plain"),
    Url()(r"/unnamed/(?:\d+)", Plain),
    Url()("/page", Page, name="page"),
    Url()("/stores", Stores, name="stores"),
    Url()("/fails", Fails, name="fails"),
    Url()("/streams", Streams, name="streams"),
    Url()("/echo", Echo, name="echo"),
]


HOOKED = [("hooks", "call"), ("hooks", "request")]


ENDED = [("hooks", "response"), ("send", ""), ("hooks", "endcall")]


def made(recorder: Recorder, *middlewares: Any, **settings: Any) -> Application:
    application = Application(URLS, middlewares=middlewares, **settings)
    observe(application, [recorder])
    return application
