"""Falcon, its ASGI side."""

from typing import Any

import falcon.asgi
import falcon.media
import orjson
from falcon.asgi import Request, Response

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


class Plain:
    async def on_get(self, _: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = PLAIN


class Json:
    async def on_get(self, _: Request, response: Response) -> None:
        response.media = {"message": PLAIN}


class User:
    async def on_get(self, _: Request, response: Response, id: str) -> None:  # noqa: A002  the path names it
        response.content_type = falcon.MEDIA_TEXT
        response.text = id


class CookieResource:
    async def on_get(self, request: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = request.cookies.get(NAME, "")
        response.set_header("X-Extra", "1")
        response.set_cookie("seen", "1", secure=False)


class Table:
    async def on_get(self, _: Request, response: Response) -> None:
        response.content_type = falcon.MEDIA_HTML
        response.text = page(TEMPLATE)


class Upload:
    async def on_post(self, request: Request, response: Response) -> None:
        size = 0
        async for chunk in request.stream:
            size += len(chunk)
        response.content_type = falcon.MEDIA_TEXT
        response.text = str(size)


def make(variant: Variant) -> Any:
    app: Any = falcon.asgi.App()
    # falcon.readthedocs.io/en/stable/api/media.html: a faster JSON library is one line
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = falcon.media.JSONHandler(
        dumps=orjson.dumps, loads=orjson.loads
    )
    app.add_route("/plain", Plain())
    app.add_route("/json", Json())
    app.add_route("/user/{id}", User())
    app.add_route("/cookie", CookieResource())
    app.add_route("/page", Table())
    app.add_route("/upload", Upload())
    for number in variant.routes:
        app.add_route(f"/api/v1/r{number}/{{id}}", User())
    return wrapped(app, variant)
