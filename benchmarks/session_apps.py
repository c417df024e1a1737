"""One application each that counts in a session in Redis: `python -m benchmarks.session_apps NAME PORT REDIS_PORT`.

Each as its documents advise, on uvloop; Sanic has no sessions, so its GET and SET are written by hand.
"""

import json
import secrets
import sys
from typing import Any


def torngas(port: int, redis_port: int) -> None:
    import uvloop

    from torngas_aio.application import Application
    from torngas_aio.handler import WebHandler
    from torngas_aio.middleware.session import SessionMiddleware
    from torngas_aio.settings_manager import settings
    from torngas_aio.webserver.backends import make_backend
    from torngas_aio.webserver.listeners import bind
    from torngas_aio.webserver.serving import run_until_stopped

    class Count(WebHandler):
        async def get(self) -> None:
            self.write(str(self.session.incr("n")))

    class Read(WebHandler):
        async def get(self) -> None:
            self.write(str(self.session["n"]))

    backend = "torngas_aio.cache.backends.rediscache.RedisCache"
    settings.configure(
        SESSION={"secret_key": secrets.token_hex()},
        CACHES={"default": {"BACKEND": backend, "LOCATION": f"127.0.0.1:{redis_port}"}},
    )

    async def main() -> None:
        application = Application([("/", Count), ("/read", Read)], middlewares=[SessionMiddleware])
        await run_until_stopped(application, make_backend(application), bind(port, "127.0.0.1"))

    uvloop.run(main())


def sanic(port: int, redis_port: int) -> None:
    import redis.asyncio as redis
    from sanic import Request, Sanic, response

    app = Sanic("sessions", configure_logging=False)
    store = redis.Redis(port=redis_port, max_connections=1000)

    @app.get("/")
    async def count(request: Request) -> Any:
        session_id = request.cookies.get("sid")
        data = await store.get(f"s:{session_id}") if session_id else None
        session = json.loads(data) if data else {}
        is_new = data is None
        session_id = secrets.token_urlsafe(18) if is_new else session_id
        session["n"] = session.get("n", 0) + 1
        await store.set(f"s:{session_id}", json.dumps(session), ex=86400)
        answer = response.text(str(session["n"]))
        if is_new:
            answer.add_cookie("sid", session_id, secure=False)
        return answer

    @app.get("/read")
    async def read(request: Request) -> Any:
        data = await store.get(f"s:{request.cookies.get('sid')}")
        return response.text(str(json.loads(data)["n"]))

    app.run("127.0.0.1", port, access_log=False, motd=False, single_process=True)


def starlette(port: int, redis_port: int) -> None:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starsessions import SessionAutoloadMiddleware, SessionMiddleware
    from starsessions.stores.redis import RedisStore

    async def count(request: Any) -> Any:
        request.session["n"] = request.session.get("n", 0) + 1
        return PlainTextResponse(str(request.session["n"]))

    async def read(request: Any) -> Any:
        return PlainTextResponse(str(request.session["n"]))

    store = RedisStore(f"redis://127.0.0.1:{redis_port}")
    layers = [
        Middleware(SessionMiddleware, store=store, cookie_https_only=False, lifetime=86400),
        Middleware(SessionAutoloadMiddleware),
    ]
    _uvicorn(Starlette(routes=[Route("/", count), Route("/read", read)], middleware=layers), port)


def litestar(port: int, redis_port: int) -> None:
    from litestar import Litestar, MediaType, Request, get
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    globals()["Request"] = Request  # where Litestar looks annotations up

    @get("/", media_type=MediaType.TEXT)
    async def count(request: Request) -> str:
        request.session["n"] = request.session.get("n", 0) + 1
        return str(request.session["n"])

    @get("/read", media_type=MediaType.TEXT)
    async def read(request: Request) -> str:
        return str(request.session["n"])

    app = Litestar(
        [count, read],
        middleware=[ServerSideSessionConfig().middleware],
        stores={"sessions": RedisStore.with_client(f"redis://127.0.0.1:{redis_port}")},
    )
    _uvicorn(app, port)


def aiohttp(port: int, redis_port: int) -> None:
    import aiohttp_session
    import redis.asyncio as redis
    import uvloop
    from aiohttp import web
    from aiohttp_session.redis_storage import RedisStorage

    async def count(request: web.Request) -> web.Response:
        session = await aiohttp_session.get_session(request)
        session["n"] = session.get("n", 0) + 1
        return web.Response(text=str(session["n"]))

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=str((await aiohttp_session.get_session(request))["n"]))

    app = web.Application()
    aiohttp_session.setup(app, RedisStorage(redis.Redis(port=redis_port), max_age=86400))
    app.router.add_get("/", count)
    app.router.add_get("/read", read)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


def django(port: int, redis_port: int) -> None:
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import HttpRequest, HttpResponse
    from django.urls import path

    async def count(request: HttpRequest) -> HttpResponse:
        number = await request.session.aget("n", 0) + 1
        await request.session.aset("n", number)
        return HttpResponse(str(number))

    async def read(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(await request.session.aget("n")))

    globals()["urlpatterns"] = [path("", count), path("read", read)]
    settings.configure(
        SECRET_KEY=secrets.token_hex(),
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{redis_port}",
            }
        },
    )
    _uvicorn(get_asgi_application(), port)


def _uvicorn(app: Any, port: int) -> None:
    import uvicorn

    uvicorn.run(
        app, host="127.0.0.1", port=port, access_log=False, log_level="warning", loop="uvloop", http="httptools"
    )


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
