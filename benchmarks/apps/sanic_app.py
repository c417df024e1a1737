"""Sanic on its own server, in one process."""

from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.response import html, json, text

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template

TEMPLATE = page_template()


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
    for number in variant.routes:
        app.add_route(user, f"/api/v1/r{number}/<id:str>", name=f"r{number}")
    for number in range(variant.middlewares):
        app.register_middleware(_copy(on_request, number), "request")
        app.register_middleware(_copy(on_response, number), "response")
    app.run("127.0.0.1", port, access_log=variant.logs_access, motd=False, single_process=True, backlog=2048)


def _copy(function: Any, number: int) -> Any:
    """A function of its own: Sanic keeps each only once."""

    async def hook(*args: Any) -> None:
        return await function(*args)

    hook.__name__ = f"{function.__name__}{number}"
    return hook
