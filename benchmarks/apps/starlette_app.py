"""Starlette."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

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
    wrapped,
)

TEMPLATE = page_template()
SOCKETS: set[WebSocket] = set()


async def plain(_: Request) -> Response:
    return PlainTextResponse(PLAIN)


async def json(_: Request) -> Response:
    return JSONResponse({"message": PLAIN})


async def user(request: Request) -> Response:
    return PlainTextResponse(request.path_params["id"])


async def cookie(request: Request) -> Response:
    response = PlainTextResponse(request.cookies.get(NAME, ""), headers={"X-Extra": "1"})
    response.set_cookie("seen", "1")
    return response


async def table(_: Request) -> Response:
    return HTMLResponse(page(TEMPLATE))


async def upload(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


async def order(request: Request) -> Response:
    return JSONResponse(order_total(await request.json()))


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return PlainTextResponse(form_text(fields))


async def file(request: Request) -> Response:
    async with request.form() as fields:
        sent: Any = fields["file"]
        return PlainTextResponse(file_text(str(fields["note"]), sent.filename, await sent.read()))


async def megabyte(_: Request) -> Response:
    return Response(MEGABYTE, media_type="application/octet-stream")


async def events(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield event

    return StreamingResponse(parts(), media_type="text/event-stream")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def news(websocket: WebSocket) -> None:
    await websocket.accept()
    SOCKETS.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        SOCKETS.discard(websocket)


async def broadcast(_: Request) -> Response:
    return PlainTextResponse(await longest_hold(send_news()))


async def send_news() -> None:
    for websocket in list(SOCKETS):
        await websocket.send_text(NEWS)


def make(variant: Variant) -> Any:
    routes = [
        Route("/plain", plain),
        Route("/json", json),
        Route("/user/{id}", user),
        Route("/cookie", cookie),
        Route("/page", table),
        Route("/upload", upload, methods=["POST"]),
        Route("/order", order, methods=["POST"]),
        Route("/form", form, methods=["POST"]),
        Route("/file", file, methods=["POST"]),
        Route("/megabyte", megabyte),
        Route("/events", events),
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/news", news),
        Route("/broadcast", broadcast),
        Mount("/static", StaticFiles(directory=FILES / "statics")),
        *(Route(f"/api/v1/r{number}/{{id}}", user) for number in variant.routes),
    ]
    return wrapped(Starlette(routes=routes), variant)
