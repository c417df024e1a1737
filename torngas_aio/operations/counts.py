"""The counters of one process for the metrics page: plain integers and lists, keyed by names from the project.

    requests   route: {method and status class: number}
    seconds    route: [requests in each bucket ..., above the last bound, sum]; likewise `received` and `sent` in bytes
    stages     route: {stage: [seconds, number]}, of every 64th request, at most 40 a second
    refused    reason: number           sessions   number of requests with a session
    cache      alias: [hits, misses, errors, calls, seconds]
    sql        database and role: [statements, errors, seconds]
    jobs       job: {event: number}, events as in `torngas_aio._job_events`
    job_seconds  job: [attempts in each bucket ..., above the last bound, sum]
    lost_lines   reason: number of log lines         unawaited   number of coroutines that were never awaited

Each second a worker sends its counters to the parent process and resets them to zero.
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
from torngas_aio.operations.observing import KNOWN_METHODS, Observation, Observer, log_failure, notify, received_bytes

__all__ = ["UNROUTED", "Counts"]

_OTHER = "other"
_REASONS = {
    400: "malformed", 401: "not logged in", 403: "forbidden", 405: "method not allowed", 408: "too slow",
    411: "no length", 413: "body too large", 414: "address too long", 415: "coding not known", 417: "expectation",
    421: "host not served", 429: "too many requests", 431: "header too large", 501: "not implemented",
    503: "not available", 505: "version not served",
}  # fmt: skip
"""Status of a refused request: reason. The server's own responses to malformed requests are included."""

STAGES_EVERY = 64
"""One request in this many has its stages timed."""

TIMED_AT_ONCE = 10
"""Most timed requests between two measurements of the loop's lag. PERF: timing adds 20 to 60 us to a request."""

_FOLD_EVERY = 16
"""New numbers are put into buckets every `_FOLD_EVERY * STAGES_EVERY` requests."""

_LAG_SECONDS = 0.25
_LAGS_KEPT = 40

_SWITCHING = 101

_JOB_ENDS = frozenset({"succeeded", "failed", "given back"})

UNROUTED = "(none)"
"""Label of requests that matched no route, and of jobs that are not declared."""


class _Histogram:
    """A histogram: `numbers` holds the buckets and the sum, in the module docstring's format.

    PERF: numbers are collected in `new` and put into buckets in batches; one at a time would cost four times as much,
    because of processor cache misses.
    """

    __slots__ = ("bounds", "new", "numbers")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.new: list[float] = []
        self.clear()

    def clear(self) -> None:
        """Reset the buckets; the list `new` stays, since routes refer to it."""
        self.numbers: list[float] = [0] * (len(self.bounds) + 2)

    def fold(self) -> None:
        """Move the new numbers into their buckets."""
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
        """Number of values in the buckets."""
        return int(sum(self.numbers[:-1]))


class Counts(Observer):
    """Counters of one application's requests and of its process's calls; the observer of requests that are timed.

    Args:
        application: The application whose requests and WebSockets are counted.
        seconds: Upper bounds of the buckets of durations, ascending.
        sizes: Upper bounds of the buckets of body sizes, in bytes.
    """

    def __init__(self, application: Any, seconds: Sequence[float], sizes: Sequence[float]) -> None:
        self._application = application
        self._seconds, self._sizes = seconds, sizes  # bounds
        self._kinds: dict[tuple[str, str, int], tuple[_Histogram, _Histogram]] = {}  # see `_kind`
        self._received: dict[str, _Histogram] = {}  # of each route; requests without a body are not in it
        self._job_seconds: dict[str, _Histogram] = {}
        self._streams: set[str] = set()  # event streams last as long as the client stays: no durations for these routes
        self._rounds = self._taken = 0
        self._started_count: Callable[[], int] = int  # returns the number of requests started
        self._left_to_time = TIMED_AT_ONCE
        self._refusals: dict[int, tuple[Counter[int], Counter[int]]] = {}  # by server: total, and already taken
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
        """Start listening to calls and measuring the loop's lag."""
        if "torngas_aio.middleware.session" in sys.modules and not self._sees_sessions:
            self.count_sessions()
        self._calls.enter_context(watched_calls(self._call_ended))
        job_listeners.append(self._note_job)
        self._calls.callback(job_listeners.remove, self._note_job)
        self._schedule_lag_check(asyncio.get_running_loop())

    def count_sessions(self) -> None:
        """Enable counting of requests with a session, which only the handler knows."""
        self._sees_sessions, make = True, self._application.make_handler

        def make_and_keep(request: Any, *args: Any) -> Any:
            request.seen_handler = handler = make(request, *args)
            return handler

        self._application.make_handler = make_and_keep

    def stop(self) -> None:
        """Undo `start`."""
        self._calls.close()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule_lag_check(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _LAG_SECONDS
        self._timer = loop.call_at(due, self._note_lag, loop, due)

    def _note_lag(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._lags.append(max(loop.time() - due, 0.0))
        self._left_to_time = TIMED_AT_ONCE
        self._schedule_lag_check(loop)

    def counting(self, observing: Observing) -> Callable[[Any], Coroutine[Any, Any, None]]:
        """Return a coroutine function that serves a request by *observing*, counts it, and times one in many."""
        every, left = STAGES_EVERY, 1

        async def serve_counted(request: Any) -> None:
            # PERF: runs for every request; each operation takes 10 ns or more, because of cache misses
            nonlocal left
            left -= 1
            try:
                before = request.server_connection.sent
            except AttributeError:  # the connection of another server, which does not count bytes
                before = None
            try:
                if left:
                    await observing.serve_others(request)
                else:
                    left = every
                    await observing.serve(request, *self._look_around(request.server_connection))
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
                        notify(self._count_body, request)

        self._started_count = lambda: self._rounds * every - left + 1
        return serve_counted

    def _count(self, request: Any, before: int | None) -> None:
        """Count a request; if possible, register its route and status so that later ones skip this method."""
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
        except Exception:  # noqa: BLE001  a boundary: metrics must not fail a request
            log_failure(self)

    def _is_deferred(self, request: Any, before: int | None) -> bool:
        """Defer counting until a plain Tornado handler, which runs in another task, ends; return whether deferred."""
        scope = scope_of(request)
        if scope.is_closed:
            return False

        def count_now() -> bool:
            self._count(request, before)
            return True

        scope.add(self, self, close_now=count_now)
        return True

    def _kind(self, route: Any, method: str, kind: int) -> tuple[_Histogram, _Histogram]:
        """Return the histograms of a route, method and status class: seconds, and bytes sent."""
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

    def _look_around(self, server_connection: Any) -> "tuple[Counts, ...]":
        """Register the connection's server, since requests that it refuses never reach the application.

        Returns:
            The observer of this request's stages; () at the limit of TIMED_AT_ONCE.
        """
        server = getattr(server_connection, "server_state", None)
        if server is not None and id(server) not in self._refusals:
            self._refusals[id(server)] = server.refused, Counter()
        self._rounds += 1
        if not self._rounds % _FOLD_EVERY:
            self._fold()
        self._left_to_time -= 1
        return (self,) if self._left_to_time >= 0 else ()

    def _call_ended(self, call: Call) -> None:
        failed = call.error is not None and not isinstance(call.error, asyncio.CancelledError)
        if call.kind == "cache":
            add_counts(self._cache, {call.target: [call.hits, call.misses, int(failed), 1, call.seconds]})
        else:
            add_counts(self._sql, {f"{call.target} {call.role}": [1, int(failed), call.seconds]})

    def _note_job(self, event: JobEvent) -> None:
        name = event.name or UNROUTED  # an undeclared name comes from the store and is not bounded
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
        """Return the counters since the start, or since the last `take`, in the form that `add_counts` accepts."""
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
            is_socket = kind == 1  # a WebSocket (101): neither duration nor response size is meaningful
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
        """Return the result of `peek` and reset the counters."""
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
        """Return the current gauges: requests in progress, sockets, pools, running jobs, the loop's lag."""
        self._fold()
        ended = self._taken + self._counted()
        sockets = len(self._application.open_sockets)
        return {
            "in_progress": max(self._started_count() - ended - sockets, 0),
            "sockets": sockets,
            "lag": max(self._lags, default=0.0),
            "pools": _pools(),
            "jobs": +self._running_jobs,
        }


def _name_of(route: Any) -> str:
    return UNROUTED if route is None else route.name or route.pattern


def _pools() -> dict[str, list[int]]:
    """Return connections in use, idle connections and waiting requests, by database name and role."""
    found: dict[str, list[int]] = {}
    registry = sys.modules.get("torngas_aio.db.dbalchemy.registry")  # None: no database is in use
    for cluster in () if registry is None else registry.open_clusters():
        for node in cluster.nodes:
            pool = node.sync_engine.pool
            if hasattr(pool, "waiting"):
                name = f"{cluster.name} {'master' if node.is_master else 'slave'}"
                add_counts(found, {name: [pool.checkedout(), pool.checkedin(), pool.waiting]})
    return found
