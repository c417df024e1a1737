"""aiohttp on its own server and uvloop."""

import logging
from typing import Any

import uvloop
from aiohttp import web

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template

TEMPLATE = page_template()


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
    for number in variant.routes:
        app.router.add_get(f"/api/v1/r{number}/{{id}}", user)
    log = logging.getLogger("aiohttp.access") if variant.logs_access else None
    web.run_app(
        app, host="127.0.0.1", port=port, access_log=log, print=None, loop=uvloop.new_event_loop(), backlog=2048
    )
