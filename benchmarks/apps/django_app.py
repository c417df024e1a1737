"""Django over ASGI, with no middleware, database or session but what a workload asks for."""

from typing import Any

from benchmarks.apps.common import NAME, PLAIN, Variant, page, page_template, wrapped

TEMPLATE = page_template()


def make(variant: Variant) -> Any:
    import django
    from django.conf import settings

    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="bench" * 12,
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        LOGGING_CONFIG=None,
        USE_I18N=False,
    )
    globals()["urlpatterns"] = patterns(variant)
    django.setup(set_prefix=False)
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    return wrapped(without_lifespan(application), variant)


def without_lifespan(application: Any) -> Any:
    """Django refuses the lifespan protocol, with a logged error, so answer for it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            return await application(scope, receive, send)
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return None

    return app


def patterns(variant: Variant) -> list[Any]:
    from django.http import HttpRequest, HttpResponse, JsonResponse
    from django.urls import path

    async def plain(_: HttpRequest) -> HttpResponse:
        return HttpResponse(PLAIN, content_type="text/plain")

    async def json(_: HttpRequest) -> HttpResponse:
        return JsonResponse({"message": PLAIN})

    async def user(_: HttpRequest, id: str) -> HttpResponse:  # noqa: A002  the path names it
        return HttpResponse(id, content_type="text/plain")

    async def cookie(request: HttpRequest) -> HttpResponse:
        text = request.COOKIES.get(NAME, "")
        response = HttpResponse(text, content_type="text/plain", headers={"X-Extra": "1"})
        response.set_cookie("seen", "1")
        return response

    async def table(_: HttpRequest) -> HttpResponse:
        return HttpResponse(page(TEMPLATE))

    async def upload(request: HttpRequest) -> HttpResponse:
        size = 0
        while chunk := request.read(65_536):  # Django has spooled the body to a file by now
            size += len(chunk)
        return HttpResponse(str(size), content_type="text/plain")

    return [
        path("plain", plain),
        path("json", json),
        path("user/<id>", user),
        path("cookie", cookie),
        path("page", table),
        path("upload", upload),
        *(path(f"api/v1/r{number}/<id>", user) for number in variant.routes),
    ]
