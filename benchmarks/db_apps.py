"""The applications of `benchmarks.db`: one row, twenty rows in a page, an insert; each as its documents advise.

    python -m benchmarks.db_apps torngas PORT      with TORNGAS_BENCH_MASTER and _SLAVE, ports of MariaDB

The rivals read from the same slave, through an engine of its own, and write to the same master. Same driver
(aiomysql), same pool, no pings before use, uvloop everywhere. Begin with `main`.
"""

import os
import sys
from typing import Any

HOST, USER, PASSWORD, DATABASE = "127.0.0.1", "torngas", "s3cret-&-p@ss/word", "torngas"
POOL = 20
PAGE = (
    "<!doctype html><title>Users</title><h1>Users</h1><table>{% for user in users %}"
    "<tr><td>{{ user.id }}</td><td>{{ user.name }}</td><td>{{ user.visits }}</td></tr>{% endfor %}</table>"
)
FIRST, LAST = 1, 1000


def port_of(role: str) -> int:
    return int(os.environ[f"TORNGAS_BENCH_{role.upper()}"])


def main() -> None:
    name, port = sys.argv[1], int(sys.argv[2])
    {"torngas": torngas, "starlette": starlette, "litestar": litestar, "aiohttp": aiohttp, "django": django}[name](port)


def torngas(port: int) -> None:
    import tempfile
    from pathlib import Path

    import uvloop
    from sqlalchemy import Column, Integer, String

    from torngas_aio.application import Application
    from torngas_aio.db.dbalchemy import Model
    from torngas_aio.handler import ApiHandler, WebHandler
    from torngas_aio.middleware.dbalchemy import DBAlchemyMiddleware
    from torngas_aio.settings_manager import settings
    from torngas_aio.webserver.backends import make_backend
    from torngas_aio.webserver.listeners import bind
    from torngas_aio.webserver.serving import run_until_stopped

    class User(Model):
        __tablename__ = "users"
        id = Column(Integer, primary_key=True)
        name = Column(String(40), nullable=False)
        visits = Column(Integer, nullable=False)

    class One(ApiHandler):
        async def get(self, number: str) -> None:
            user = await User.Q.get(int(number))
            assert user is not None
            self.write_api({"id": user.id, "name": user.name})

    class Page(WebHandler):
        async def get(self) -> None:
            users = await User.Q.filter(User.id <= 20).order_by(User.id)
            await self.render("page.html", users=users)

    class Insert(ApiHandler):
        async def post(self) -> None:
            user = User(name="new", visits=0)
            User.session.add(user)
            await User.session.commit()
            self.write_api({"id": user.id})

    def server(role: str) -> dict[str, Any]:
        login = {"UID": USER, "PASSWD": PASSWORD, "HOST": HOST, "DATABASE": DATABASE}
        return {"ROLE": role, "DRIVER": "mysql+aiomysql", "PORT": port_of(role), **login}

    async def serve(templates: str) -> None:
        handlers: list[Any] = [(r"/one/(\d+)", One), ("/page", Page), ("/insert", Insert)]
        application = Application(handlers, middlewares=[DBAlchemyMiddleware], template_path=templates)
        await run_until_stopped(application, make_backend(application), bind(port, HOST))

    settings.configure(
        DATABASE_CONNECTION={"default": {"connections": [server("master"), server("slave")]}},
        SQLALCHEMY_CONFIGURATION={"sqlalchemy.pool_size": POOL, "sqlalchemy.max_overflow": 0},
        TEMPLATE_CONFIG={"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"},
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text(PAGE, encoding="utf-8")
        uvloop.run(serve(folder))


class Rival:
    """SQLAlchemy's asyncio as its documents show it: a session for each request, closed at its end."""

    def __init__(self) -> None:
        import jinja2
        from sqlalchemy import URL, String
        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

        class Base(DeclarativeBase):
            pass

        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(String(40))
            visits: Mapped[int]

        def sessions(role: str) -> Any:
            url = URL.create("mysql+aiomysql", USER, PASSWORD, HOST, port_of(role), DATABASE, {"charset": "utf8mb4"})
            return async_sessionmaker(create_async_engine(url, pool_size=POOL, max_overflow=0), expire_on_commit=False)

        self.user = User
        self.reading, self.writing = sessions("slave"), sessions("master")
        self.template = jinja2.Environment(autoescape=True, enable_async=True).from_string(PAGE)

    async def one(self, number: int) -> dict[str, Any]:
        async with self.reading() as session:
            user = await session.get(self.user, number)
            return {"id": user.id, "name": user.name}

    async def page(self) -> str:
        from sqlalchemy import select

        async with self.reading() as session:
            statement = select(self.user).where(self.user.id <= 20).order_by(self.user.id)
            users = (await session.scalars(statement)).all()
        return await self.template.render_async(users=users)

    async def insert(self) -> dict[str, Any]:
        async with self.writing() as session:
            user = self.user(name="new", visits=0)
            session.add(user)
            await session.commit()
            return {"id": user.id}


def uvicorn(application: Any, port: int, lifespan: str = "off") -> None:
    import uvicorn

    uvicorn.run(
        application, port=port, loop="uvloop", http="httptools", access_log=False, log_level="error", lifespan=lifespan
    )


def starlette(port: int) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    rival = Rival()

    async def one(request: Request) -> Response:
        return JSONResponse(await rival.one(int(request.path_params["number"])))

    async def page(_: Request) -> Response:
        return HTMLResponse(await rival.page())

    async def insert(_: Request) -> Response:
        return JSONResponse(await rival.insert())

    routes = [Route("/one/{number:int}", one), Route("/page", page), Route("/insert", insert, methods=["POST"])]
    uvicorn(Starlette(routes=routes), port)


def litestar(port: int) -> None:
    from litestar import Litestar, MediaType, get, post

    rival = Rival()

    @get("/one/{number:int}")
    async def one(number: int) -> dict[str, Any]:
        return await rival.one(number)

    @get("/page", media_type=MediaType.HTML)
    async def page() -> str:
        return await rival.page()

    @post("/insert", status_code=200)
    async def insert() -> dict[str, Any]:
        return await rival.insert()

    uvicorn(Litestar([one, page, insert]), port, "auto")


def aiohttp(port: int) -> None:
    import uvloop
    from aiohttp import web

    rival = Rival()

    async def one(request: web.Request) -> web.Response:
        return web.json_response(await rival.one(int(request.match_info["number"])))

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=await rival.page(), content_type="text/html")

    async def insert(_: web.Request) -> web.Response:
        return web.json_response(await rival.insert())

    application = web.Application()
    application.add_routes([web.get(r"/one/{number:\d+}", one), web.get("/page", page), web.post("/insert", insert)])
    web.run_app(application, host=HOST, port=port, access_log=None, print=lambda *_: None, loop=uvloop.new_event_loop())


def django(port: int) -> None:
    import django
    import pymysql
    from django.conf import settings

    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()

    def database(role: str) -> dict[str, Any]:
        login = {"USER": USER, "PASSWORD": PASSWORD, "HOST": HOST, "PORT": port_of(role), "NAME": DATABASE}
        return {"ENGINE": "django.db.backends.mysql", "CONN_MAX_AGE": 600, **login}

    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="bench" * 12,
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        LOGGING_CONFIG=None,
        DATABASES={"default": database("master"), "slave": database("slave")},
        TEMPLATES=[{"BACKEND": "django.template.backends.jinja2.Jinja2"}],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup(set_prefix=False)
    import jinja2
    from django.core.asgi import get_asgi_application
    from django.db import models
    from django.http import HttpRequest, HttpResponse, JsonResponse
    from django.urls import path

    class User(models.Model):
        name = models.CharField(max_length=40)
        visits = models.IntegerField()

        class Meta:
            app_label, db_table = "bench", "users"

    template = jinja2.Environment(autoescape=True).from_string(PAGE)

    async def one(_: HttpRequest, number: int) -> HttpResponse:
        user = await User.objects.using("slave").aget(pk=number)
        return JsonResponse({"id": user.pk, "name": user.name})

    async def page(_: HttpRequest) -> HttpResponse:
        users = [user async for user in User.objects.using("slave").filter(pk__lte=20).order_by("pk")]
        return HttpResponse(template.render(users=users))

    async def insert(_: HttpRequest) -> HttpResponse:
        user = await User.objects.acreate(name="new", visits=0)
        return JsonResponse({"id": user.pk})

    globals()["urlpatterns"] = [path("one/<int:number>", one), path("page", page), path("insert", insert)]
    uvicorn(get_asgi_application(), port)


if __name__ == "__main__":
    main()
