"""Visitors that check every promise the site makes them.

    a counter in the session rises by one with each answered request
    a post that was acknowledged is the visitor's last one when read back, and is in the database at the end

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


@dataclass
class Crowd:
    """Some visitors at *url*, each with a session and a connection of its own: `async with Crowd(url, 8) as crowd`.

    Attributes:
        requests: How many were sent, by kind.
        failures: Requests that had no good answer.
        wrong: Broken promises.
        acknowledged: Ids of the posts that were acknowledged.
        unknown: Ids of posts whose request failed: they may be stored or not.
    """

    url: str
    visitors: int = 8
    pause: float = 0.02
    posts: bool = True
    counts: bool = True
    requests: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    wrong: list[Failure] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)
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

    async def _visit(self, name: str) -> None:
        timeout = httpx2.Timeout(90)
        count: int | None = 0
        last: int | None = None
        async with httpx2.AsyncClient(base_url=self.url, timeout=timeout, trust_env=False) as client:
            while not self._is_over:
                await self._ask(client, "GET", "/")
                if self.counts:
                    count = await self._count(client, count)
                if self.posts:
                    last = await self._post(client, name, last)
                await asyncio.sleep(self.pause)

    async def _count(self, client: httpx2.AsyncClient, count: int | None) -> int | None:
        """Return the counter; None after a failure, which may have counted or not."""
        answer = await self._ask(client, "POST", "/count")
        if answer is None:
            return None
        found = int(answer.json()["count"])
        if count is not None and found != count + 1:
            self.wrong.append(Failure("counter", 200, time.monotonic(), 0, f"{found} after {count}"))
        return found

    async def _post(self, client: httpx2.AsyncClient, name: str, last: int | None) -> int | None:
        number = next(_ids)
        answer = await self._ask(client, "POST", "/posts", data={"id": str(number), "visitor": name})
        if answer is None:
            self.unknown.add(number)
            return None
        self.acknowledged.add(number)
        answer = await self._ask(client, "GET", "/posts", params={"visitor": name})
        if answer is not None and (answer.json()["id"] or 0) < number:
            self.wrong.append(Failure("stale read", 200, time.monotonic(), 0, f"{answer.json()} after {number}"))
        return number

    async def _ask(self, client: httpx2.AsyncClient, method: str, path: str, **options: Any) -> httpx2.Response | None:
        self.requests[f"{method} {path}"] += 1
        began = time.monotonic()
        status, detail = 0, ""
        try:
            answer = await client.request(method, path, **options)
            if answer.status_code == 200:
                return answer
            status, detail = answer.status_code, answer.text[:200]
        except httpx2.TransportError as exc:
            detail = repr(exc)
        now = time.monotonic()
        self.failures.append(Failure(f"{method} {path}", status, now, now - began, detail))
        return None
