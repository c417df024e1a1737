"""A site that uses what an inspector shows, and how tests read what it shows."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from tests.db.models import User
from torngas_aio import Application
from torngas_aio.cache import caches
from torngas_aio.dispatch import Signal
from torngas_aio.exception import Http404
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware import BaseMiddleware
from torngas_aio.operations.inspector import Inspector
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

SECRET = "a long random text for these tests"


happened = Signal()


async def on_happened(**kwargs: Any) -> None: ...


class Guard(BaseMiddleware):
    """A guard that refuses strangers, and has a response hook."""

    async def process_request(self, handler: Any, clear: Any) -> Any:
        if "no" in handler.request.query_arguments:
            handler.set_status(403)
            await handler.finish("no")
        return None

    async def process_response(self, handler: Any, clear: Any, chunk: Any) -> None: ...


class Front(WebHandler):
    async def get(self, *args: str) -> None:
        logging.getLogger("shop").warning("The db_password=%s was asked for.", "hunter2")
        await asyncio.to_thread(logging.getLogger("shop").error, "from a thread")
        self.write("front")


class Hidden(WebHandler):
    async def get(self) -> None:
        self.write("never")


class Broken(WebHandler):
    async def get(self) -> None:
        raise ValueError("token=abcdef went wrong")


class Absent(ApiHandler):
    async def get(self) -> None:
        raise Http404("not today")


class Statements(WebHandler):
    async def get(self) -> None:
        for number in range(4):
            await User.Q.filter(User.id == number).all()
        User.session.add(User(name="Ann"))
        await User.session.flush()
        await User.session.execute(text("UPDATE users SET name = lower(:password)"), {"password": "hunter2"})
        self.write("read")


class Small(WebHandler):
    async def get(self) -> None:
        db = self.application.settings["small"]
        await db.query("CREATE TABLE logins (name text, password text)")
        await db.insert("logins", name="Ann", password="hunter2")
        for name in ("a", "b", "c"):
            await db.select("logins", where={"name": name})
        with pytest.raises(Exception, match="no such table"):
            await db.query("SELECT * FROM absent")
        async for _ in db.select("logins"):
            pass
        with pytest.raises(Exception, match="no such table"):
            async for _ in db.select("gone"):
                pass
        self.write("small")


class Cached(WebHandler):
    async def get(self) -> None:
        cache = caches["default"]
        await cache.get("none")
        await cache.set("some", 1)
        await cache.get("some")
        await cache.get_many(["some", "none", "other"])
        await cache.get_or_set("made", 7)
        await happened.send(self)
        self.write("cached")


class Visits(WebHandler):
    async def get(self) -> None:
        self.session["visits"] = (self.session["visits"] or 0) + 1
        self.session["api_token"] = "hunter2"
        self.session.pop("visits")
        self.write(self.session.sessionid or "")


class Socket(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


RULES: list[Any] = [
    (r"/", Front),
    (r"/post/(\d+)", Front),
    (r"/post/1", Hidden),
    (r"/broken", Broken),
    (r"/absent", Absent),
    (r"/statements", Statements),
    (r"/small", Small),
    (r"/cached", Cached),
    (r"/visits", Visits),
    (r"/socket", Socket),
    (r"/quite/(.*)", Front),
]


def made(*middlewares: Any, **options: Any) -> tuple[Application, Inspector]:
    application = Application(RULES, middlewares=middlewares or (Guard,), debug=True, autoreload=False, **options)
    return application, Inspector(application)


@contextmanager
def project(**values: Any) -> Iterator[None]:
    conf = {"cookie_secret": SECRET}
    with settings.override(DEBUG=True, TORNADO_CONF=conf, **values):
        yield


async def last(client: TestClient) -> dict[str, Any]:
    """What is shown of the last request, once it has ended."""
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = (await client.get(f"/-/inspector/requests/{await count(client)}")).json()
            if found["ms"] is not None:
                return found
            await asyncio.sleep(0.01)


async def count(client: TestClient) -> int:
    async with client.stream("GET", "/-/inspector/events") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                return max((each["id"] for each in json.loads(line[5:])), default=0)
    raise AssertionError("no event")


def of_kind(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [entry for entry in found["entries"] if entry["kind"] == kind]
