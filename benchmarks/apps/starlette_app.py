"""Starlette."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


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


def make(variant: Variant) -> Any:
    routes = [
        Route("/plain", plain),
        Route("/json", json),
        Route("/user/{id}", user),
        Route("/cookie", cookie),
        Route("/page", table),
        Route("/upload", upload, methods=["POST"]),
        *(Route(f"/api/v1/r{number}/{{id}}", user) for number in variant.routes),
    ]
    return wrapped(Starlette(routes=routes), variant)
