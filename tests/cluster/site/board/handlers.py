"""What a visitor asks."""

import asyncio
import os
from pathlib import Path

from board.models import Post
from torngas_aio import ApiHandler, WebSocketHandler
from torngas_aio.cache import cached, caches

NODE = os.environ.get("LAB_NODE", "")


class Hello(ApiHandler):
    """Answers without session or database."""

    async def get(self) -> None:
        self.write_api({"node": NODE, "worker": os.getpid()})


class Ready(ApiHandler):
    """Tells a proxy that asks whether this node takes requests."""

    async def get(self) -> None:
        if self.application.is_stopping:
            self.set_status(503)
        self.write_api({"ready": not self.application.is_stopping})


class Count(ApiHandler):
    """Counts the visits of a session."""

    async def post(self) -> None:
        count = (self.session["count"] or 0) + 1
        self.session["count"] = count
        self.write_api({"count": count})


class Posts(ApiHandler):
    """Stores a post, and returns a visitor's last one."""

    async def post(self) -> None:
        session = Post.session
        session.add(Post(id=int(self.get_argument("id")), visitor=self.get_argument("visitor")))
        self.write_api({"stored": True})

    async def get(self) -> None:
        newest = Post.Q.filter_by(visitor=self.get_argument("visitor")).order_by(Post.id.desc())
        post = await newest.first()
        self.write_api({"id": post.id if post else None})


class Kept(ApiHandler):
    """Answers with a value that the cache keeps."""

    async def get(self) -> None:
        self.write_api({"kept": await _kept(), "again": await caches["default"].get_or_set("again", _compute, 1)})


@cached(timeout=1)
async def _kept() -> int:
    return await _compute()


async def _compute() -> int:
    await asyncio.sleep(0.01)
    return 42


class Sessionless(ApiHandler):
    """Never meets the store of the sessions."""

    uses_session = False

    async def get(self) -> None:
        self.write_api({"node": NODE})


class Login(ApiHandler):
    """Begins a user's session, and tells who is logged in."""

    async def get(self) -> None:
        self.write_api({"user": self.session["user"]})

    async def post(self) -> None:
        self.session.cycle_id()
        self.session["user"] = self.get_argument("user")
        self.write_api({"user": self.session["user"]})


class Logout(ApiHandler):
    """Ends the session."""

    async def post(self) -> None:
        self.session.expired()
        self.write_api({"out": True})


class Slow(ApiHandler):
    """Answers after some seconds."""

    async def get(self) -> None:
        await asyncio.sleep(float(self.get_argument("seconds")))
        self.write_api({"slept": True})


class Stream(ApiHandler):
    """Sends an event each 50 ms until the client leaves or the server stops."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        number = 0
        while not self.application.is_stopping:
            number += 1
            self.write(f"data: {number}\n\n")
            await self.flush()
            await asyncio.sleep(0.05)
        self.write("event: bye\ndata:\n\n")


class Echo(WebSocketHandler):
    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message)


class Later(ApiHandler):
    """Starts work that outlives its response: after some seconds a file is written."""

    async def post(self) -> None:
        self.application.background.start_soon(_write_later, self.get_argument("path"), 1.5)
        self.write_api({"started": True})


async def _write_later(path: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(Path(path).write_text, "done")
