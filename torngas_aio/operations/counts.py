"""What a process counts for the metrics page: plain integers and lists, by names that the project has chosen.

    requests   route: {method and status class: number}
    seconds    route: [requests in each bucket ..., in none of them, sum]; likewise `received` and `sent` in bytes
    stages     route: {stage: [seconds, number]}, of every 64th request, 40 a second at most
    refused    reason: number           sessions   number of requests of a visitor with a session
    cache      alias: [hits, misses, errors, calls, seconds]
    sql        database and role: [statements, errors, seconds]
    jobs       job: {what happened: number}, as `torngas_aio._job_events` names it
    job_seconds  job: [attempts in each bucket ..., in none of them, sum]
    lost_lines   why: number of lines of the log     unawaited   number of forgotten coroutines

A worker sends what it has counted to its parent each second, and begins at nothing again.
"""

import asyncio
import sys
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from math import inf
from time import time
from typing import Any

from torngas_aio._job_events import JobEvent, job_listeners
from torngas_aio._unawaited import unawaited_total
from torngas_aio.context import scope_of
from torngas_aio.exception import CacheUnavailable
from torngas_aio.handler import EventStreamHandler
from torngas_aio.http.body import NO_BODY
from torngas_aio.http.worker_totals import add_counts
from torngas_aio.logger.background import lost_lines
from torngas_aio.operations.calls import Call, watched_calls
from torngas_aio.operations.observed import Observing
from torngas_aio.operations.observing import KNOWN_METHODS, Observation, Observer, complain, received_bytes, told

__all__ = ["UNROUTED", "Counts"]

_OTHER = "other"
_REASONS = {
    400: "malformed", 401: "not logged in", 403: "forbidden", 405: "method not allowed", 408: "too slow",
    411: "no length", 413: "body too large", 414: "address too long", 415: "coding not known", 417: "expectation",
    421: "host not served", 429: "too many requests", 431: "header too large", 501: "not implemented",
    503: "not available", 505: "version not served",
}  # fmt: skip
"""Statuses that refuse a request, and why; the server's own answers to what is no request, too."""

STAGES_EVERY = 64
"""The stages of every so many-th request are timed ..."""

TIMED_AT_ONCE = 10
"""... and of so many between two looks at the loop's lag. PERF: such a request takes 20 to 60 us more."""

_FOLD_EVERY = 16
"""After so many times as many requests their numbers are put into buckets."""

_LAG_SECONDS = 0.25
_LAGS_KEPT = 40

_SWITCHING = 101

_JOB_ENDS = frozenset({"succeeded", "failed", "given back"})

UNROUTED = "(none)"
"""In place of a route, for requests that led to none; and of a job that is not declared."""


class _Histogram:
    """Numbers in buckets, as the module's head shows them in `numbers`; they are put there some at a time.

    PERF: one by one each would cost four times as much, since little of this is in the processor's caches then.
    """

    __slots__ = ("bounds", "new", "numbers")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.new: list[float] = []
        self.clear()

    def clear(self) -> None:
        """Begin at nothing; requests know the list of new numbers, which stays."""
        self.numbers: list[float] = [0] * (len(self.bounds) + 2)

    def fold(self) -> None:
        """Put the new numbers into their buckets."""
        new, numbers, before = self.new, self.numbers, 0
        new.sort()
        numbers[-1] += max(sum(new), 0)  # the clock may have been set back
        for place, bound in enumerate((*self.bounds, inf)):
            until = bisect_right(new, bound, before)
            numbers[place] += until - before
            if until == len(new):
                break
            before = until
        new.clear()

    @property
    def count(self) -> int:
        """How many numbers are in buckets."""
        return int(sum(self.numbers[:-1]))


class Counts(Observer):
    """Counts the requests of one application, and the calls of its process; observes the requests that are timed.

    Args:
        application: Whose sockets and servers are looked at.
        seconds: Upper bounds of the buckets of durations, ascending.
        sizes: Upper bounds of the buckets of body sizes, in bytes.
    """

    def __init__(self, application: Any, seconds: Sequence[float], sizes: Sequence[float]) -> None:
        self._application = application
        self._seconds, self._sizes = seconds, sizes  # bounds
        self._kinds: dict[tuple[str, str, int], tuple[_Histogram, _Histogram]] = {}  # see `_kind`
        self._received: dict[str, _Histogram] = {}  # of each route; requests without a body are not in it
        self._job_seconds: dict[str, _Histogram] = {}
        self._streams: set[str] = set()  # routes whose answers last for as long as the clients stay: no durations
        self._rounds = self._taken = 0
        self._begun: Callable[[], int] = int  # how many requests have begun
        self._left_to_time = TIMED_AT_ONCE
        self._refusals: dict[int, tuple[Counter[int], Counter[int]]] = {}  # of each server: all, and those counted
        self._lags: deque[float] = deque(maxlen=_LAGS_KEPT)
        self._timer: asyncio.TimerHandle | None = None
        self._calls = ExitStack()
        self._sees_sessions = False
        self._told_lost = lost_lines.copy()
        self._told_unawaited = unawaited_total()
        self._running_jobs: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._refused: Counter[str] = Counter()
        self._cache: dict[str, list[float]] = {}
        self._sql: dict[str, list[float]] = {}
        self._sessions = 0
        self._jobs: dict[str, Counter[str]] = {}
        self._stages: dict[str, dict[str, list[float]]] = {}

    def start(self) -> None:
        """Begin to watch calls and the loop."""
        if "torngas_aio.middleware.session" in sys.modules and not self._sees_sessions:
            self.count_sessions()
        self._calls.enter_context(watched_calls(self._call_ended))
        job_listeners.append(self._note_job)
        self._calls.callback(job_listeners.remove, self._note_job)
        self._expect(asyncio.get_running_loop())

    def count_sessions(self) -> None:
        """Count requests with a session as well, which only the handler knows."""
        self._sees_sessions, make = True, self._application.make_handler

        def make_and_keep(request: Any, *args: Any) -> Any:
            request.seen_handler = handler = make(request, *args)
            return handler

        self._application.make_handler = make_and_keep

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
        self._left_to_time = TIMED_AT_ONCE
        self._expect(loop)

    def counting(self, observing: Observing) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Return what serves requests as *observing* does, counts them, and has some of them timed."""
        every, left = STAGES_EVERY, 1

        async def serve_counted(request: Any) -> None:
            # PERF: this is what metrics cost; each operation of it takes 10 ns or more, being in no cache
            nonlocal left
            left -= 1
            try:
                before = request.server_connection.sent
            except AttributeError:  # another server's, which does not count
                before = None
            try:
                if left:
                    await observing.serve_others(request)
                else:
                    left = every
                    await observing.serve(request, self._look_around(request.server_connection))
            finally:
                exchange = request.connection
                try:
                    seconds, sent = request.route.counts[request.method][exchange.status]
                except (AttributeError, KeyError):
                    self._count(request, before)
                else:
                    seconds.append(time() - request._start_time)
                    sent.append(0 if before is None else request.server_connection.sent - before)
                    if exchange.body is not NO_BODY:
                        told(self._count_body, request)

        self._begun = lambda: self._rounds * every - left + 1
        return serve_counted

    def _count(self, request: Any, before: int | None) -> None:
        """Count a request, and have those of its kind counted without this call where they need no more."""
        try:
            route, exchange = request.route, request.connection
            if route is not None and route.is_foreign and self._is_deferred(request, before):
                return
            method = request.method if request.method in KNOWN_METHODS else _OTHER
            seconds, sent = self._kind(route, method, exchange.status // 100)
            seconds.new.append(time() - request._start_time)
            sent.new.append(0 if before is None else request.server_connection.sent - before)
            if exchange.body is not NO_BODY:
                self._count_body(request)
            if reason := _REASONS.get(exchange.status):
                self._refused[reason] += 1
            if self._sees_sessions:
                self._count_session(request)
            elif not (route is None or route.is_foreign or reason or method is _OTHER):
                route.counts.setdefault(method, {})[exchange.status] = seconds.new, sent.new
        except Exception:  # noqa: BLE001  a boundary: who counts must not fail a request
            complain(self)

    def _is_deferred(self, request: Any, before: int | None) -> bool:
        """Have a request of plain Tornado's, which is answered in another task, counted at its end; return whether."""
        scope = scope_of(request)
        if scope.is_closed:
            return False

        def count_now() -> bool:
            self._count(request, before)
            return True

        scope.add(self, self, close_now=count_now)
        return True

    def _kind(self, route: Any, method: str, kind: int) -> tuple[_Histogram, _Histogram]:
        """Return what is counted of a route, method and class of status: seconds, and bytes that were sent."""
        key = _name_of(route), method, kind
        if key not in self._kinds:
            self._kinds[key] = _Histogram(self._seconds), _Histogram(self._sizes)
            if route is not None and issubclass(route.handler_class, EventStreamHandler):
                self._streams.add(key[0])
        return self._kinds[key]

    def _count_body(self, request: Any) -> None:
        if request.connection.status != _SWITCHING and (received := received_bytes(request)):
            self._received.setdefault(_name_of(request.route), _Histogram(self._sizes)).new.append(received)

    def _count_session(self, request: Any) -> None:
        handler, request.seen_handler = request.seen_handler, None
        with suppress(AttributeError, CacheUnavailable):
            self._sessions += bool(handler.session.sessionid)

    def request_ended(self, observation: Observation) -> None:
        if observation.status != _SWITCHING:
            stages: dict[str, Any] = {name: [seconds, 1] for name, seconds in observation.own_seconds.items()}
            add_counts(self._stages.setdefault(observation.route_name or UNROUTED, {}), stages)

    def _look_around(self, server_connection: Any) -> "Counts | None":
        """Note the server that the connection belongs to: what it refuses reaches no application.

        Returns:
            Who is to be told of the stages of this request.
        """
        server = getattr(server_connection, "server_state", None)
        if server is not None and id(server) not in self._refusals:
            self._refusals[id(server)] = server.refused, Counter()
        self._rounds += 1
        if not self._rounds % _FOLD_EVERY:
            self._fold()
        self._left_to_time -= 1
        return self if self._left_to_time >= 0 else None

    def _call_ended(self, call: Call) -> None:
        failed = call.error is not None and not isinstance(call.error, asyncio.CancelledError)
        if call.kind == "cache":
            add_counts(self._cache, {call.target: [call.hits, call.misses, int(failed), 1, call.seconds]})
        else:
            add_counts(self._sql, {f"{call.target} {call.role}": [1, int(failed), call.seconds]})

    def _note_job(self, event: JobEvent) -> None:
        name = event.name or UNROUTED  # a name that is not declared is whatever was in the store
        self._jobs.setdefault(name, Counter())[event.kind] += 1
        if event.kind == "started":
            self._running_jobs[name] += 1
        elif event.kind in _JOB_ENDS:
            self._running_jobs[name] -= 1
            self._job_seconds.setdefault(name, _Histogram(self._seconds)).new.append(event.seconds)

    def _histograms(self) -> Iterator[_Histogram]:
        yield from chain(self._received.values(), self._job_seconds.values(), *self._kinds.values())

    def _fold(self) -> None:
        for histogram in self._histograms():
            if histogram.new:
                histogram.fold()

    def peek(self) -> dict[str, Any]:
        """Return everything that was counted since the start, or since `take`, as `add_counts` takes it."""
        self._fold()
        refused = Counter(self._refused)
        for all_of_them, counted in self._refusals.values():
            for status, number in (all_of_them - counted).items():
                refused[_REASONS.get(status, "other")] += number
        counts: dict[str, Any] = {
            "refused": refused, "cache": self._cache, "sql": self._sql, "sessions": self._sessions,
            "jobs": self._jobs, "stages": self._stages, "lost_lines": lost_lines - self._told_lost,
            "unawaited": unawaited_total() - self._told_unawaited,
            "job_seconds": {job: each.numbers for job, each in self._job_seconds.items() if each.count},
        }  # fmt: skip
        self._add_requests(counts)
        return {name: found for name, found in counts.items() if found}

    def _add_requests(self, counts: dict[str, Any]) -> None:
        for (route, method, kind), (seconds, sent) in self._kinds.items():
            if not (count := seconds.count):
                continue
            no_seconds, no_sizes = _Histogram(self._seconds).numbers, _Histogram(self._sizes).numbers
            is_socket = kind == 1  # which is neither a duration nor an answer
            numbers = {
                "requests": {f"{method} {f'{kind}xx' if kind else 'none'}": count},
                "seconds": no_seconds if is_socket or route in self._streams else seconds.numbers,
                "sent": no_sizes if is_socket else sent.numbers,
                "received": no_sizes if is_socket else [count, *no_sizes[1:]],
            }
            add_counts(counts, {name: {route: each} for name, each in numbers.items()})
        for route, received in self._received.items():
            without_them = [received.numbers[0] - received.count, *received.numbers[1:]]
            add_counts(counts, {"received": {route: without_them}} if received.count else {})

    def take(self) -> dict[str, Any]:
        """Return what `peek` does, and begin at nothing."""
        counts = self.peek()
        for all_of_them, counted in self._refusals.values():
            counted.update(all_of_them - counted)
        self._told_lost.update(counts.get("lost_lines", {}))
        self._told_unawaited += counts.get("unawaited", 0)
        self._taken += self._counted()
        for histogram in self._histograms():
            histogram.clear()
        self._begin()
        return counts

    def _counted(self) -> int:
        return sum(seconds.count for seconds, _ in self._kinds.values())

    def now(self) -> dict[str, Any]:
        """Return what is so at this moment: requests in progress, sockets, pools, running jobs, the loop's lag."""
        self._fold()
        ended = self._taken + self._counted()
        sockets = len(self._application.open_sockets)
        return {
            "in_progress": max(self._begun() - ended - sockets, 0),
            "sockets": sockets,
            "lag": max(self._lags, default=0.0),
            "pools": _pools(),
            "jobs": +self._running_jobs,
        }


def _name_of(route: Any) -> str:
    return UNROUTED if route is None else route.name or route.pattern


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
