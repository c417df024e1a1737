"""Sanic on its own server, in one process."""

import ssl
from typing import Any

from sanic import HTTPResponse, Request, Sanic, Websocket
from sanic.response import html, json, raw, text

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
SOCKETS: set[Any] = set()


async def plain(_: Request) -> HTTPResponse:
    return text(PLAIN)


async def as_json(_: Request) -> HTTPResponse:
    return json({"message": PLAIN})


async def user(_: Request, id: str) -> HTTPResponse:  # noqa: A002  the path names it
    return text(id)


async def cookie(request: Request) -> HTTPResponse:
    response = text(request.cookies.get(NAME) or "", headers={"X-Extra": "1"})
    response.add_cookie("seen", "1", secure=False)
    return response


async def table(_: Request) -> HTTPResponse:
    return html(page(TEMPLATE))


async def upload(request: Request) -> HTTPResponse:
    size = 0
    while (chunk := await request.stream.read()) is not None:  # type: ignore[union-attr]
        size += len(chunk)
    return text(str(size))


async def order(request: Request) -> HTTPResponse:
    return json(order_total(request.json))


async def form(request: Request) -> HTTPResponse:
    fields: Any = request.form
    return text(form_text({name: fields.get(name) for name in fields}))


async def file(request: Request) -> HTTPResponse:
    fields: Any = request.form
    sent: Any = request.files.get("file")  # type: ignore[union-attr]
    return text(file_text(fields.get("note"), sent.name, sent.body))


async def megabyte(_: Request) -> HTTPResponse:
    return raw(MEGABYTE)


async def events(request: Request) -> None:
    response: Any = await request.respond(content_type="text/event-stream")
    for event in EVENTS:
        await response.send(event)
    await response.eof()


async def echo(_: Request, websocket: Websocket) -> None:
    async for message in websocket:
        await websocket.send(message)


async def news(_: Request, websocket: Websocket) -> None:
    SOCKETS.add(websocket)
    async for _message in websocket:
        pass
    SOCKETS.discard(websocket)


async def broadcast(_: Request) -> HTTPResponse:
    return text(await longest_hold(send_news()))


async def send_news() -> None:
    for websocket in list(SOCKETS):
        await websocket.send(NEWS)


async def on_request(_: Request) -> None:
    return None


async def on_response(_: Request, __: HTTPResponse) -> None:
    return None


def serve(variant: Variant, port: int, _: str) -> None:
    app: Any = Sanic("bench", configure_logging=variant.logs_access)
    app.config.update(ACCESS_LOG=variant.logs_access, REQUEST_MAX_SIZE=2**31, KEEP_ALIVE_TIMEOUT=600)
    app.add_route(plain, "/plain")
    app.add_route(as_json, "/json")
    app.add_route(user, "/user/<id:str>")
    app.add_route(cookie, "/cookie")
    app.add_route(table, "/page")
    app.add_route(upload, "/upload", methods=["POST"], stream=True)
    app.add_route(order, "/order", methods=["POST"])
    app.add_route(form, "/form", methods=["POST"])
    app.add_route(file, "/file", methods=["POST"])
    app.add_route(megabyte, "/megabyte")
    app.add_route(events, "/events")
    app.add_websocket_route(echo, "/echo")
    app.add_websocket_route(news, "/news")
    app.add_route(broadcast, "/broadcast")
    app.static("/static", str(FILES / "statics"))
    for number in variant.routes:
        app.add_route(user, f"/api/v1/r{number}/<id:str>", name=f"r{number}")
    for number in range(variant.middlewares):
        app.register_middleware(_copy(on_request, number), "request")
        app.register_middleware(_copy(on_response, number), "response")
    context = None
    if variant.is_tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(FILES / "cert.pem", FILES / "key.pem")
    app.run(
        "127.0.0.1",
        port,
        access_log=variant.logs_access,
        motd=False,
        single_process=True,
        backlog=2048,
        ssl=context,
    )


def _copy(function: Any, number: int) -> Any:
    """A function of its own: Sanic keeps each only once."""

    async def hook(*args: Any) -> None:
        return await function(*args)

    hook.__name__ = f"{function.__name__}{number}"
    return hook
