"""Visitors that check every promise the site makes them.

    a counter in the session rises by one with each answered request; after failed ones by as many more at most
    a post that was acknowledged is the visitor's last one when read back, and is in the database at the end
    after an acknowledged login the visitor is logged in, after an acknowledged logout no cookie of it counts
    a page whose value the cache keeps is answered

Begin with `Crowd`.
"""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx2

__all__ = ["Crowd", "Failure"]

COOKIE = "__TORNADOSSID"
SLOW_SECONDS = 0.3

_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a good answer, or a promise that was broken.

    Attributes:
        what: `GET /`, `POST /posts` and so on, or the promise.
        status: The answer's, 0 where there was none.
        at: `time.monotonic()` at the end of the request.
        seconds: How long it took.
    """

    what: str
    status: int
    at: float
    seconds: float
    detail: str = ""

    @property
    def began(self) -> float:
        """When the request was sent."""
        return self.at - self.seconds


@dataclass
class _Count:
    """What a visitor knows of its counter.

    Attributes:
        last: As last answered.
        most: As the requests that failed since may have left it.
    """

    last: int = 0
    most: int = 0


@dataclass
class Crowd:
    """Some visitors at *url*, each with a session and a connection of its own: `async with Crowd(url, 8) as crowd`.

    Attributes:
        requests: How many were sent, by kind.
        failures: Requests that had no good answer.
        slow: Requests that took longer than 0.3 s, answered or not.
        wrong: Broken promises.
        acknowledged: Ids of the posts that were acknowledged.
        unknown: Ids of posts whose request failed: they may be stored or not.
        keeps: The store of the sessions has all it acknowledged after an outage.
        is_empty_allowed: With the store down a visitor may be shown an empty session.
        ended: The cookies of sessions whose logout was acknowledged.
    """

    url: str
    visitors: int = 8
    pause: float = 0.02
    posts: bool = True
    counts: bool = True
    logins: bool = False
    kept: bool = False
    keeps: bool = True
    is_empty_allowed: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slow: list[Failure] = field(default_factory=list)
    wrong: list[Failure] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _is_over: bool = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._visit(f"v{next(_ids)}")) for _ in range(self.visitors)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._is_over = True
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        if error is None:
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    @property
    def total(self) -> int:
        """How many requests were sent."""
        return self.requests.total()

    def failed(self, method: str = "") -> list[Failure]:
        """Return the failed requests of a method, such as "GET"; of all, without one."""
        return [failure for failure in self.failures if failure.what.startswith(method)]

    async def visit_once(self, name: str) -> None:
        """Send one of each request, as a further visitor."""
        async with self._client() as client, self._client() as user:
            await self._make_round(name, client, user, _Count())

    async def _visit(self, name: str) -> None:
        count = _Count()
        async with self._client() as client, self._client() as user:
            while not self._is_over:
                await self._make_round(name, client, user, count)
                await asyncio.sleep(self.pause)

    async def _make_round(
        self, name: str, client: httpx2.AsyncClient, user: httpx2.AsyncClient, count: "_Count"
    ) -> None:
        await self._ask(client, "GET", "/")
        await self._ask(client, "GET", "/sessionless")
        if self.kept:
            await self._ask(client, "GET", "/kept")
        if self.counts:
            await self._count(client, count)
        if self.posts:
            await self._post(client, name)
        if self.logins:
            await self._log_in_and_out(user, f"{name}-{next(_ids)}")

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=httpx2.Timeout(90), trust_env=False)

    async def _count(self, client: httpx2.AsyncClient, count: "_Count") -> None:
        answer = await self._ask(client, "POST", "/count")
        if answer is None:
            count.most += 1
            return
        found = int(answer.json()["count"])
        begins_again = not self.keeps and found == 1
        if not begins_again and not count.last < found <= count.most + 1:
            self._is_wrong("counter", f"{found} after {count.last}, at most {count.most}")
        count.last = count.most = found

    async def _log_in_and_out(self, client: httpx2.AsyncClient, name: str) -> None:
        """Log in under a new name and out again; what was acknowledged must be so."""
        if await self._ask(client, "POST", "/login", data={"user": name}) is not None:
            await self._expect_user(client, name, "after an acknowledged login")
        cookie = client.cookies.get(COOKIE, default="")
        answer = await self._ask(client, "POST", "/logout")
        if answer is not None and cookie:
            self.ended.append(cookie)
        if answer is not None or not client.cookies.get(COOKIE):
            await self._expect_user(client, None, "after a logout")

    async def _expect_user(self, client: httpx2.AsyncClient, name: str | None, when: str) -> None:
        answer = await self._ask(client, "GET", "/login")
        found = None if answer is None else answer.json()["user"]
        if answer is not None and found != name and (found is not None or (self.keeps and not self.is_empty_allowed)):
            self._is_wrong("user", f"{found} instead of {name} {when}")

    async def check_ended(self) -> None:
        """Use the cookies of the last logouts once more: none of them may be logged in."""
        for cookie in self.ended[-200:]:
            async with self._client() as client:
                client.cookies.set(COOKIE, cookie)
                await self._expect_user(client, None, "with the cookie of a session that was ended")

    def _is_wrong(self, what: str, detail: str) -> None:
        self.wrong.append(Failure(what, 200, time.monotonic(), 0, detail))

    async def _post(self, client: httpx2.AsyncClient, name: str) -> None:
        number = next(_ids)
        answer = await self._ask(client, "POST", "/posts", data={"id": str(number), "visitor": name})
        if answer is None:
            self.unknown.add(number)
            return
        self.acknowledged.add(number)
        answer = await self._ask(client, "GET", "/posts", params={"visitor": name})
        if answer is not None and (answer.json()["id"] or 0) < number:
            self._is_wrong("stale read", f"{answer.json()} after {number}")

    async def _ask(self, client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> httpx2.Response | None:
        self.requests[f"{method} {path}"] += 1
        began = time.monotonic()
        answer, status, detail = None, 0, ""
        try:
            answer = await client.request(method, path, **options)
            status, detail = answer.status_code, answer.text[:200]
        except httpx2.TransportError as exc:
            detail = repr(exc)
        now = time.monotonic()
        told = Failure(f"{method} {path}", status, now, now - began, detail)
        if told.seconds > SLOW_SECONDS:
            self.slow.append(told)
        if status != 200:
            self.failures.append(told)
            return None
        return answer
