"""BlackSheep."""

from typing import Any

from blacksheep import Application, Content, Cookie, Request, Response, html, json, text

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


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


def make(variant: Variant) -> Any:
    app = Application(show_error_details=False)
    app.router.add_get("/plain", plain)
    app.router.add_get("/json", as_json)
    app.router.add_get("/user/{id}", user)
    app.router.add_get("/cookie", cookie)
    app.router.add_get("/page", table)
    app.router.add_post("/upload", upload)
    for number in variant.routes:
        app.router.add_get(f"/api/v1/r{number}/{{id}}", user)
    return wrapped(app, variant)
