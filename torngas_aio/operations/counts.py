"""What a process counts for the metrics page: plain integers and lists, by names that the project has chosen.

    requests   route: {method and status class: number}
    seconds    route: [requests in each bucket ..., in none of them, sum]; likewise `received` and `sent` in bytes
    stages     route: {stage: [seconds, number]}, of every 64th request
    refused    reason: number           sessions   number of requests of a visitor with a session
    cache      alias: [hits, misses, errors, calls, seconds]
    sql        database and role: [statements, errors, seconds]

A worker sends what it has counted to its parent each second, and begins at nothing again. Begin with `Counts`.
"""

import asyncio
import sys
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torngas_aio.exception import CacheUnavailable
from torngas_aio.http.worker_totals import add_counts
from torngas_aio.operations.calls import Call, watched_calls
from torngas_aio.operations.observing import Observation, Observer

__all__ = ["UNROUTED", "Counts"]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REASONS = {
    400: "malformed", 401: "not logged in", 403: "forbidden", 405: "method not allowed", 408: "too slow",
    411: "no length", 413: "body too large", 414: "address too long", 415: "coding not known", 417: "expectation",
    421: "host not served", 429: "too many requests", 431: "header too large", 501: "not implemented",
    503: "not available", 505: "version not served",
}  # fmt: skip
"""Statuses that refuse a request, and why; the server's own answers to what is no request, too."""

STAGES_EVERY = 64
"""The stages of every so many-th request are timed."""

_LAG_SECONDS = 0.25
_LAGS_KEPT = 40

_SWITCHING = 101

UNROUTED = "(none)"
"""In place of a route, for requests that led to none."""


class _RouteCounts:
    """What is counted of one route."""

    __slots__ = ("received", "requests", "seconds", "sent", "stages")

    def __init__(self, seconds: tuple[float, ...], sizes: tuple[float, ...]) -> None:
        self.requests: dict[tuple[str | None, int], int] = {}
        self.stages: dict[str, list[float]] = {}
        self.seconds: list[float] = [0] * (len(seconds) + 2)
        self.received: list[float] = [0] * (len(sizes) + 2)
        self.sent: list[float] = [0] * (len(sizes) + 2)

    def add_stages(self, own_seconds: dict[str, float]) -> None:
        """Count what the stages of a timed request have taken."""
        for name, seconds in own_seconds.items():
            # One of the hooks that are counted together has been told to another observer by itself.
            stage = self.stages.setdefault("hooks" if name == "hook" else name, [0.0, 0])
            stage[0] += seconds
            stage[1] += name != "hook"


class Counts(Observer):
    """Counts the requests of one application, and the calls of its process.

    Args:
        application: Whose sockets and servers are looked at.
        seconds: Upper bounds of the buckets of durations, ascending.
        sizes: Upper bounds of the buckets of body sizes, in bytes.
    """

    wants_stages = False

    def __init__(self, application: Any, seconds: Sequence[float], sizes: Sequence[float]) -> None:
        self._application = application
        self._seconds, self._sizes = tuple(seconds), tuple(sizes)
        self._in_progress = 0
        self._turn = 0
        self._refusals: dict[int, tuple[Counter[int], Counter[int]]] = {}  # of each server: all, and those counted
        self._lags: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self._calls = ExitStack()
        self._sees_sessions = False
        self._begin()

    def _begin(self) -> None:
        self._routes: dict[str, _RouteCounts] = {}
        self._refused: Counter[str] = Counter()
        self._cache: dict[str, list[float]] = {}
        self._sql: dict[str, list[float]] = {}
        self._sessions = 0

    def start(self) -> None:
        """Begin to watch calls and the loop."""
        self._sees_sessions = "torngas_aio.middleware.session" in sys.modules
        self._calls.enter_context(watched_calls(self._call_ended))
        self._expect(asyncio.get_running_loop())

    def stop(self) -> None:
        """End what `start` has begun."""
        self._calls.close()
        if self._timer is not None:
            self._timer.cancel()

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _LAG_SECONDS
        self._timer = loop.call_at(due, self._note_lag, loop, due)

    def _note_lag(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._lags.append(max(loop.time() - due, 0.0))
        self._expect(loop)

    def request_started(self, observation: Observation) -> bool:
        self._in_progress += 1
        self._turn -= 1
        if self._turn <= 0:
            self._turn, observation.is_marked = STAGES_EVERY, True
            self._watch(observation.request.server_connection)
        return True

    def request_ended(self, observation: Observation) -> None:
        # PERF: in one function, and each property read once
        self._in_progress -= 1
        status, route = observation.status, observation.route_name or UNROUTED
        counts = self._routes.get(route)
        if counts is None:
            counts = self._routes[route] = _RouteCounts(self._seconds, self._sizes)
        method = observation.request.method
        key = method if method in _METHODS else None, status // 100
        counts.requests[key] = counts.requests.get(key, 0) + 1
        if status != _SWITCHING:
            seconds, sent, received = observation.seconds, observation.wire_bytes, observation.received_bytes
            counts.seconds[bisect_left(self._seconds, seconds)] += 1
            counts.seconds[-1] += seconds
            counts.sent[bisect_left(self._sizes, sent)] += 1
            counts.sent[-1] += sent
            if received:
                counts.received[bisect_left(self._sizes, received)] += 1
                counts.received[-1] += received
            else:
                counts.received[0] += 1
            if observation.is_timed:
                counts.add_stages(observation.own_seconds)
        if status >= 400 and (reason := _REASONS.get(status)):
            self._refused[reason] += 1
        if self._sees_sessions:
            try:  # PERF: a look at the handler's `__dict__` makes one
                if observation.handler.session.sessionid:
                    self._sessions += 1
            except (AttributeError, CacheUnavailable):
                pass

    def _watch(self, server_connection: Any) -> None:
        """Note the server that the connection belongs to: what it refuses reaches no application."""
        server = getattr(server_connection, "server_state", None)
        if server is not None and id(server) not in self._refusals:
            self._refusals[id(server)] = server.refused, Counter()

    def _call_ended(self, call: Call) -> None:
        failed = call.error is not None and not isinstance(call.error, asyncio.CancelledError)
        if call.kind == "cache":
            more = [call.hits, call.misses, int(failed), 1, call.seconds]
            known = self._cache.get(call.target, [0, 0, 0, 0, 0.0])
            self._cache[call.target] = [one + other for one, other in zip(known, more, strict=True)]
        else:
            name = f"{call.target} {call.role}"
            count, errors, seconds = self._sql.get(name, (0, 0, 0.0))
            self._sql[name] = [count + 1, errors + failed, seconds + call.seconds]

    def peek(self) -> dict[str, Any]:
        """Return everything that was counted since the start, or since `take`, as `add_counts` takes it."""
        refused = Counter(self._refused)
        for all_of_them, counted in self._refusals.values():
            for status, number in (all_of_them - counted).items():
                refused[_REASONS.get(status, "other")] += number
        counts = {
            "requests": {route: _named(counts.requests) for route, counts in self._routes.items()},
            **{
                name: {route: getattr(counts, name) for route, counts in self._routes.items()}
                for name in ("stages", "seconds", "received", "sent")
            },
            "refused": refused, "cache": self._cache, "sql": self._sql, "sessions": self._sessions,
        }  # fmt: skip
        return {name: found for name, found in counts.items() if found}

    def take(self) -> dict[str, Any]:
        """Return what `peek` does, and begin at nothing."""
        counts = self.peek()
        for all_of_them, counted in self._refusals.values():
            counted.update(all_of_them - counted)
        self._begin()
        return counts

    def now(self) -> dict[str, Any]:
        """Return what is so at this moment: requests in progress, sockets, database pools, the loop's largest lag."""
        sockets = len(self._application.open_sockets)
        return {
            "in_progress": max(self._in_progress - sockets, 0),
            "sockets": sockets,
            "lag": max(self._lags, default=0.0),
            "pools": _pools(),
        }


def _named(requests: dict[tuple[str | None, int], int]) -> dict[str, int]:
    """Return the counts by method and class of status, as text."""
    return {
        f"{method or 'other'} {f'{kind}xx' if kind else 'none'}": count for (method, kind), count in requests.items()
    }


def _pools() -> dict[str, list[int]]:
    """Return, by name and role of the servers, connections in use, idle ones, requests that wait for one."""
    found: dict[str, list[int]] = {}
    registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")  # not imported: no database is in use
    for cluster in () if registry is None else registry.open_clusters():
        for node in cluster.nodes:
            pool = node.sync_engine.pool
            if hasattr(pool, "waiting"):
                name = f"{cluster.name} {'master' if node.is_master else 'slave'}"
                add_counts(found, {name: [pool.checkedout(), pool.checkedin(), pool.waiting]})
    return found
