"""FastAPI."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


async def plain() -> Response:
    return PlainTextResponse(PLAIN)


async def json() -> dict[str, str]:
    return {"message": PLAIN}


async def user(id: str) -> Response:  # noqa: A002  the path names it
    return PlainTextResponse(id)


async def cookie(request: Request) -> Response:
    response = PlainTextResponse(request.cookies.get(NAME, ""), headers={"X-Extra": "1"})
    response.set_cookie("seen", "1")
    return response


async def table() -> Response:
    return HTMLResponse(page(TEMPLATE))


async def upload(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


def make(variant: Variant) -> Any:
    app = FastAPI(openapi_url=None)
    app.get("/plain")(plain)
    app.get("/json")(json)
    app.get("/user/{id}")(user)
    app.get("/cookie")(cookie)
    app.get("/page")(table)
    app.post("/upload")(upload)
    for number in variant.routes:
        app.get(f"/api/v1/r{number}/{{id}}")(user)
    return wrapped(app, variant)
