"""Litestar."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body

from benchmarks.apps.common import NAME, PLAIN, Variant, file_text, page, page_template, wrapped

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


class Item(msgspec.Struct):
    sku: str
    name: str
    price: int


class Order(msgspec.Struct):
    customer: str
    items: list[Item]


class Total(msgspec.Struct):
    customer: str
    total: int


@dataclass
class Person:
    name: str
    age: int
    note: str = ""


@dataclass
class Sent:
    note: str
    file: UploadFile


@post("/typed-json", status_code=200)
async def typed_json(data: Order) -> Total:
    return Total(data.customer, sum(item.price for item in data.items))


@post("/typed-form", media_type=MediaType.TEXT, status_code=200)
async def typed_form(data: Annotated[Person, Body(media_type=RequestEncodingType.URL_ENCODED)]) -> str:
    return f"{data.name}, {data.age + 1}"


@post("/typed-upload", media_type=MediaType.TEXT, status_code=200)
async def typed_upload(data: Annotated[Sent, Body(media_type=RequestEncodingType.MULTI_PART)]) -> str:
    return file_text(data.note, data.file.filename, await data.file.read())


def extra(number: int) -> Any:
    @get(f"/api/v1/r{number}/{{id:str}}", media_type=MediaType.TEXT)
    async def found(id: str) -> str:  # noqa: A002  the path names it
        return id

    return found


def make(variant: Variant) -> Any:
    typed = (typed_json, typed_form, typed_upload)
    handlers = [plain, json, user, cookie, table, upload, *typed, *(extra(number) for number in variant.routes)]
    return wrapped(Litestar(handlers, openapi_config=None, logging_config=None), variant)
