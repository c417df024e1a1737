"""BlackSheep."""

from collections.abc import AsyncIterator
from typing import Any

from blacksheep import (
    Application,
    Content,
    Cookie,
    FromForm,
    FromJSON,
    Request,
    Response,
    StreamedContent,
    WebSocket,
    WebSocketDisconnectError,
    html,
    json,
    text,
)
from pydantic import BaseModel

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
    return text(PLAIN)


async def as_json(_: Request) -> Response:
    return json({"message": PLAIN})


async def user(request: Request) -> Response:
    return text(request.route_values["id"])


async def cookie(request: Request) -> Response:
    response = Response(200, [(b"X-Extra", b"1")], Content(b"text/plain", (request.get_cookie(NAME) or "").encode()))
    response.set_cookie(Cookie("seen", "1"))
    return response


async def table(_: Request) -> Response:
    return html(page(TEMPLATE))


async def upload(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return text(str(size))


async def order(request: Request) -> Response:
    return json(order_total(await request.json()))


async def form(request: Request) -> Response:
    return text(form_text(await request.form() or {}))


async def file(request: Request) -> Response:
    fields: Any = await request.form()
    (part,) = fields["file"] if isinstance(fields["file"], list) else [fields["file"]]
    content = part.data if isinstance(part.data, bytes) else part.file.read()
    return text(file_text(fields["note"], part.file_name.decode(), content))


class Item(BaseModel):
    sku: str
    name: str
    price: int


class Order(BaseModel):
    customer: str
    items: list[Item]


class Person(BaseModel):
    name: str
    age: int
    note: str = ""


async def typed_json(data: FromJSON[Order]) -> Response:
    order = data.value
    return json({"customer": order.customer, "total": sum(item.price for item in order.items)})


async def typed_form(data: FromForm[Person]) -> Response:
    return text(f"{data.value.name}, {data.value.age + 1}")


async def megabyte(_: Request) -> Response:
    return Response(200, content=Content(b"application/octet-stream", MEGABYTE))


async def events(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for event in EVENTS:
            yield event

    return Response(200, content=StreamedContent(b"text/event-stream", parts))


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnectError:
        pass


async def news(websocket: WebSocket) -> None:
    await websocket.accept()
    SOCKETS.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnectError:
        SOCKETS.discard(websocket)


async def broadcast(_: Request) -> Response:
    return text(await longest_hold(send_news()))


async def send_news() -> None:
    for websocket in list(SOCKETS):
        await websocket.send_text(NEWS)


def make(variant: Variant) -> Any:
    app = Application(show_error_details=False)
    app.router.add_get("/plain", plain)
    app.router.add_get("/json", as_json)
    app.router.add_get("/user/{id}", user)
    app.router.add_get("/cookie", cookie)
    app.router.add_get("/page", table)
    app.router.add_post("/upload", upload)
    app.router.add_post("/order", order)
    app.router.add_post("/form", form)
    app.router.add_post("/file", file)
    app.router.add_post("/typed-json", typed_json)
    app.router.add_post("/typed-form", typed_form)
    app.router.add_post("/typed-upload", file)
    app.router.add_get("/megabyte", megabyte)
    app.router.add_get("/events", events)
    app.router.add_ws("/echo", echo)
    app.router.add_ws("/news", news)
    app.router.add_get("/broadcast", broadcast)
    app.serve_files(FILES / "statics", root_path="static", extensions={".css", ".js", ".bin"})
    for number in variant.routes:
        app.router.add_get(f"/api/v1/r{number}/{{id}}", user)
    return wrapped(app, variant)
