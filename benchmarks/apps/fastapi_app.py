"""FastAPI."""

from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import BaseModel

from benchmarks.apps.common import NAME, PLAIN, Variant, file_text, page, page_template, wrapped

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


class Item(BaseModel):
    sku: str
    name: str
    price: int


class Order(BaseModel):
    customer: str
    items: list[Item]


class Total(BaseModel):
    customer: str
    total: int


async def typed_json(order: Order) -> Total:
    return Total(customer=order.customer, total=sum(item.price for item in order.items))


async def typed_form(
    name: Annotated[str, Form()], age: Annotated[int, Form()], note: Annotated[str, Form()] = ""
) -> Response:
    return PlainTextResponse(f"{name}, {age + 1}")


async def typed_upload(file: UploadFile, note: Annotated[str, Form()]) -> Response:
    return PlainTextResponse(file_text(note, file.filename, await file.read()))


def make(variant: Variant) -> Any:
    app = FastAPI(openapi_url=None)
    app.get("/plain")(plain)
    app.get("/json")(json)
    app.get("/user/{id}")(user)
    app.get("/cookie")(cookie)
    app.get("/page")(table)
    app.post("/upload")(upload)
    app.post("/typed-json")(typed_json)
    app.post("/typed-form")(typed_form)
    app.post("/typed-upload")(typed_upload)
    for number in variant.routes:
        app.get(f"/api/v1/r{number}/{{id}}")(user)
    return wrapped(app, variant)
