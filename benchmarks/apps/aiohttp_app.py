"""aiohttp on its own server and uvloop."""

import logging
import ssl
from typing import Any

import uvloop
from aiohttp import web

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
SOCKETS: set[web.WebSocketResponse] = set()


async def plain(_: web.Request) -> web.Response:
    return web.Response(text=PLAIN)


async def json(_: web.Request) -> web.Response:
    return web.json_response({"message": PLAIN})


async def user(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["id"])


async def cookie(request: web.Request) -> web.Response:
    response = web.Response(text=request.cookies.get(NAME, ""), headers={"X-Extra": "1"})
    response.set_cookie("seen", "1")
    return response


async def table(_: web.Request) -> web.Response:
    return web.Response(text=page(TEMPLATE), content_type="text/html")


async def upload(request: web.Request) -> web.Response:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.Response(text=str(size))


async def order(request: web.Request) -> web.Response:
    return web.json_response(order_total(await request.json()))


async def form(request: web.Request) -> web.Response:
    return web.Response(text=form_text(await request.post()))


async def file(request: web.Request) -> web.Response:
    fields: Any = await request.post()
    return web.Response(text=file_text(fields["note"], fields["file"].filename, fields["file"].file.read()))


async def megabyte(_: web.Request) -> web.Response:
    return web.Response(body=MEGABYTE)


async def events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in EVENTS:
        await response.write(event)
    return response


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def news(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    SOCKETS.add(socket)
    async for _ in socket:
        pass
    SOCKETS.discard(socket)
    return socket


async def broadcast(_: web.Request) -> web.Response:
    return web.Response(text=await longest_hold(send_news()))


async def send_news() -> None:
    for socket in list(SOCKETS):
        await socket.send_str(NEWS)


@web.middleware
async def no_op(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    return response


def serve(variant: Variant, port: int, _: str) -> None:
    app = web.Application(middlewares=[no_op] * variant.middlewares)
    app.router.add_get("/plain", plain)
    app.router.add_get("/json", json)
    app.router.add_get("/user/{id}", user)
    app.router.add_get("/cookie", cookie)
    app.router.add_get("/page", table)
    app.router.add_post("/upload", upload)
    app.router.add_post("/order", order)
    app.router.add_post("/form", form)
    app.router.add_post("/file", file)
    app.router.add_get("/megabyte", megabyte)
    app.router.add_get("/events", events)
    app.router.add_get("/echo", echo)
    app.router.add_get("/news", news)
    app.router.add_get("/broadcast", broadcast)
    app.router.add_static("/static", FILES / "statics")
    for number in variant.routes:
        app.router.add_get(f"/api/v1/r{number}/{{id}}", user)
    log = logging.getLogger("aiohttp.access") if variant.logs_access else None
    context = None
    if variant.is_tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(FILES / "cert.pem", FILES / "key.pem")
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=log,
        print=None,
        loop=uvloop.new_event_loop(),
        backlog=2048,
        ssl_context=context,
    )
