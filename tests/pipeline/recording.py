"""Middlewares, modules and handlers that write down when they run, and misbehave on request."""

import asyncio
from collections.abc import Callable
from typing import Any

from tornado.web import HTTPError

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.httpmodule import BaseHttpModule
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.middleware import BaseMiddleware

LOG: list[str] = []
MISCHIEF: dict[str, str] = {}
"""Place ("A.request") -> what to do there: return, clear, raise, http, finish, forget, replace."""
ENDED: dict[str, asyncio.Event] = {}


async def act(place: str, handler: Any, clear: Callable[[], None]) -> Any:
    LOG.append(place)
    deed = MISCHIEF.get(place)
    if deed == "clear":
        clear()
    elif deed == "raise":
        raise ZeroDivisionError(place)
    elif deed == "http":
        raise HTTPError(418, place)
    elif deed in ("finish", "forget", "replace"):
        handler.set_status(403)
        handler.finish(f"finished by {place}")
        return None if deed == "forget" else 1
    elif deed == "return":
        return 1
    return None


class Recorder(BaseMiddleware):
    name = ""

    async def process_init(self, application: Any) -> None:
        LOG.append(f"{self.name}.init")

    async def process_call(self, request: Any, clear: Any) -> Any:
        return await act(f"{self.name}.call", None, clear)

    async def process_request(self, handler: Any, clear: Any) -> Any:
        return await act(f"{self.name}.request", handler, clear)

    async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> Any:
        return await act(f"{self.name}.render", handler, clear)

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> Any:
        return await act(f"{self.name}.response", handler, clear)

    async def process_endcall(self, handler: Any, clear: Any) -> Any:
        result = await act(f"{self.name}.endcall", handler, clear)
        if self.name == "A" and "A" in ENDED:
            ENDED["A"].set()
        return result

    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> Any:
        return await act(f"{self.name}.exception", handler, clear)

    async def process_shutdown(self, application: Any) -> None:
        LOG.append(f"{self.name}.shutdown")


class A(Recorder):
    name = "A"


class B(Recorder):
    name = "B"


class C(Recorder):
    name = "C"


class RecordingModule(BaseHttpModule):
    name = ""

    async def begin_request(self, handler: Any, clear: Any) -> Any:
        return await act(f"{self.name}.request", handler, clear)

    async def begin_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> Any:
        return await act(f"{self.name}.render", handler, clear)

    async def begin_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> Any:
        return await act(f"{self.name}.response", handler, clear)

    async def complete_response(self, handler: Any, clear: Any) -> Any:
        return await act(f"{self.name}.endcall", handler, clear)


class K1(RecordingModule):
    name = "K1"


class K2(RecordingModule):
    name = "K2"


class X(RecordingModule):
    name = "X"


class R(RecordingModule):
    name = "R"


class Recording(WebHandler):
    def on_prepare(self) -> None:
        LOG.append("on_prepare")

    def complete_finish(self) -> None:
        LOG.append("complete_finish")


class Plain(Recording):
    async def get(self) -> None:
        LOG.append("get")
        deed = MISCHIEF.get("handler")
        if deed == "raise":
            raise ZeroDivisionError
        if deed == "http":
            raise HTTPError(418)
        self.write("body")

    async def head(self) -> None:
        await self.get()


class PlainDef(Recording):
    def get(self) -> None:
        LOG.append("get")
        self.finish("un-awaited")


class Early(Recording):
    """Finishes without awaiting, then goes on."""

    async def get(self) -> None:
        LOG.append("get")
        self.finish("settled")
        self.set_status(500)
        self.set_header("X-Late", "1")
        LOG.append("before yielding")
        await asyncio.sleep(0)
        await ENDED["A"].wait()
        LOG.append("after the response")
        if MISCHIEF.get("handler") == "raise":
            raise ZeroDivisionError


class Awaited(Recording):
    async def get(self) -> None:
        LOG.append("get")
        await self.finish("awaited")
        LOG.append("after finish")


class Streaming(Recording):
    async def get(self) -> None:
        LOG.append("get")
        self.write("one ")
        await self.flush()
        LOG.append("flushed")
        self.write("two")
        if MISCHIEF.get("handler") == "raise":
            raise ZeroDivisionError


class Rendered(Recording):
    def get(self) -> None:
        LOG.append("get")
        self.render("page.html", word="un-awaited")


class Waiting(Recording):
    """Waits until it is let go, or cancelled."""

    started: asyncio.Event
    go_on: asyncio.Event

    async def get(self) -> None:
        LOG.append("get")
        self.started.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            LOG.append("cancelled")
            raise
        LOG.append("went on")
        self.write("late")

    def on_connection_close(self) -> None:
        LOG.append("client left")
        self.go_on.set()


class Cancelled(Waiting):
    cancel_on_disconnect = True

    def on_connection_close(self) -> None:
        LOG.append("client left")


HANDLERS: list[type[Recording]] = [Plain, PlainDef, Early, Awaited, Streaming, Rendered, Waiting, Cancelled]


def recording_application(**settings: Any) -> Application:
    """Three middlewares around the module middleware; two common modules, one of the route, one taken out."""
    modules = HttpModuleMiddleware(
        common=(K1, X, K2),
        by_route={kind.__name__.lower(): (R, f"!{X.__module__}.X") for kind in HANDLERS},
    )
    routes = [(f"/{kind.__name__.lower()}", kind, None, kind.__name__.lower()) for kind in HANDLERS]
    return Application(routes, middlewares=(A, B, modules, C), **settings)
