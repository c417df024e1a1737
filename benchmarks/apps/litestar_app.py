"""Litestar."""

from typing import Any

from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.datastructures import Cookie

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


@get("/plain", media_type=MediaType.TEXT)
async def plain() -> str:
    return PLAIN


@get("/json")
async def json() -> dict[str, str]:
    return {"message": PLAIN}


@get("/user/{id:str}", media_type=MediaType.TEXT)
async def user(id: str) -> str:  # noqa: A002  the path names it
    return id


@get("/cookie", media_type=MediaType.TEXT)
async def cookie(request: Request[Any, Any, Any]) -> Response[str]:
    return Response(
        request.cookies.get(NAME, ""),
        headers={"X-Extra": "1"},
        cookies=[Cookie(key="seen", value="1")],
        media_type="text/plain",
    )


@get("/page", media_type=MediaType.HTML)
async def table() -> str:
    return page(TEMPLATE)


@post("/upload", media_type=MediaType.TEXT, status_code=200, request_max_body_size=None)
async def upload(request: Request[Any, Any, Any]) -> str:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return str(size)


def extra(number: int) -> Any:
    @get(f"/api/v1/r{number}/{{id:str}}", media_type=MediaType.TEXT)
    async def found(id: str) -> str:  # noqa: A002  the path names it
        return id

    return found


def make(variant: Variant) -> Any:
    handlers = [plain, json, user, cookie, table, upload, *(extra(number) for number in variant.routes)]
    return wrapped(Litestar(handlers, openapi_config=None, logging_config=None), variant)
