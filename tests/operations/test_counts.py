"""What is counted of requests, refusals and calls, and that nothing is counted twice; no page around it."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.web import RequestHandler

from tests.operations.observers import URLS
from tests.polling import until
from torngas_aio import Application
from torngas_aio.exception import CacheUnavailable
from torngas_aio.handler import EventStreamHandler, WebHandler
from torngas_aio.http.body import NO_BODY
from torngas_aio.http.worker_totals import WorkerTotals
from torngas_aio.operations import counts
from torngas_aio.operations.calls import Call
from torngas_aio.operations.counts import UNROUTED, Counts
from torngas_aio.operations.observed import observe
from torngas_aio.operations.observing import Observation, Stage
from torngas_aio.testing import TestClient

SECONDS, SIZES = (0.1, 1.0), (100, 1000)


@pytest.fixture
def counted() -> Counts:
    return Counts(SimpleNamespace(open_sockets=()), SECONDS, SIZES)


def made(application: Any) -> Counts:
    """Return what counts the requests of *application*."""
    counted = Counts(application, SECONDS, SIZES)
    application.serve_request = counted.counting(observe(application, []))
    return counted


def ended(
    counted: Counts, status: int = 200, *, seconds: float = 0.0, sent: int = 0, received: int = 0,
    method: str = "GET", route: str = "front", handler_class: Any = WebHandler,
) -> None:  # fmt: skip
    """Have *counted* told of a request that ends now."""
    body = SimpleNamespace(received=received) if received else NO_BODY
    request: Any = SimpleNamespace(
        method=method, connection=SimpleNamespace(status=status, body=body), _start_time=-seconds,
        route=SimpleNamespace(name=route, handler_class=handler_class, is_foreign=False, counts={}) if route else None,
        server_connection=SimpleNamespace(sent=sent + 7),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "time", lambda: 0.0)
        counted._count(request, 7)


def test_requests_fall_into_the_bucket_of_their_upper_bound(counted: Counts) -> None:
    for seconds in (0.0, 0.1, 0.11, 1.0, 7.5):
        ended(counted, seconds=seconds, sent=101, received=1000)
    found = counted.peek()
    assert found["seconds"]["front"] == [2, 2, 1, pytest.approx(8.71)]
    assert found["sent"]["front"] == [0, 5, 0, 505]
    assert found["received"]["front"] == [0, 5, 0, 5000]


def test_a_clock_that_is_set_back_makes_no_sum_smaller(counted: Counts) -> None:
    ended(counted, seconds=0.5)
    assert counted.peek()["seconds"]["front"] == [0, 1, 0, 0.5]
    ended(counted, seconds=-3600.0)
    assert counted.peek()["seconds"]["front"] == [1, 1, 0, 0.5]


def test_methods_and_statuses_are_of_a_few_kinds_whatever_the_client_sends(counted: Counts) -> None:
    for number in range(50):
        ended(counted, 400 + number % 20, method=f"BREW{number}", route="")
    ended(counted, 0, route="")
    assert counted.peek()["requests"] == {UNROUTED: {"other 4xx": 50, "GET none": 1}}


def test_a_socket_is_no_duration(counted: Counts) -> None:
    ended(counted, 101, seconds=3600.0)
    assert counted.peek()["requests"] == {"front": {"GET 1xx": 1}}
    assert counted.peek()["seconds"]["front"] == [0, 0, 0, 0]


def test_an_event_stream_is_no_duration(counted: Counts) -> None:
    ended(counted, 200, seconds=3600.0, sent=50, handler_class=EventStreamHandler)
    found = counted.peek()
    assert found["requests"] == {"front": {"GET 2xx": 1}}
    assert found["seconds"]["front"] == [0, 0, 0, 0]
    assert found["sent"]["front"] == [1, 0, 0, 50]
    assert found["received"]["front"] == [1, 0, 0, 0]


def test_lost_lines_of_the_log_are_counted_once(counted: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: Counter[str] = Counter()
    monkeypatch.setattr(counts, "lost_lines", lost)
    counted._told_lost.clear()
    lost["not written"] += 5
    assert counted.take()["lost_lines"] == {"not written": 5}
    lost["not written"] += 2
    assert counted.peek()["lost_lines"] == counted.take()["lost_lines"] == {"not written": 2}
    assert counted.take() == {}


def test_forgotten_coroutines_are_counted_once(counted: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "unawaited_total", lambda: counted._told_unawaited + 3)
    assert counted.take() == {"unawaited": 3}
    monkeypatch.setattr(counts, "unawaited_total", lambda: counted._told_unawaited)
    assert counted.take() == {}


def test_refusals_are_told_by_their_reason(counted: Counts) -> None:
    for status in (200, 304, 404, 500, 403, 429, 429):
        ended(counted, status)
    assert counted.peek()["refused"] == {"forbidden": 1, "too many requests": 2}


def test_what_a_server_refused_itself_is_counted_once(counted: Counts) -> None:
    refused = Counter({431: 2, 418: 1})
    connection = SimpleNamespace(server_state=SimpleNamespace(refused=refused))
    for _ in range(2):  # every connection of the server leads to the same numbers
        counted._look_around(connection)
    assert counted.take()["refused"] == {"header too large": 2, "other": 1}
    refused[431] += 5
    assert counted.peek()["refused"] == {"header too large": 5}
    assert counted.take()["refused"] == {"header too large": 5}
    assert counted.take() == {}


async def test_stages_are_timed_now_and_then(counted: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "STAGES_EVERY", 3)
    observers: list[Any] = []

    async def serve(request: Any, *more: Any) -> None:
        observers.append(more)

    request = SimpleNamespace(
        method="GET", route=None, server_connection=None, connection=SimpleNamespace(status=200, body=NO_BODY),
        _start_time=0.0,
    )  # fmt: skip
    observing: Any = SimpleNamespace(serve=serve, serve_others=serve)
    serve_counted = counted.counting(observing)
    for _ in range(7):
        await serve_counted(request)
    assert observers == [(counted,), (), (), (counted,), (), (), (counted,)]
    assert counted.peek()["requests"] == {UNROUTED: {"GET 2xx": 7}}


async def test_only_so_many_requests_are_timed_until_the_loop_is_looked_at_again(counted: Counts) -> None:
    limit = counts.TIMED_AT_ONCE
    assert [counted._look_around(None) for _ in range(limit + 5)] == [(counted,)] * limit + [()] * 5
    loop = asyncio.get_running_loop()
    counted._note_lag(loop, loop.time())
    counted.stop()
    assert counted._look_around(None) == (counted,)


def test_hooks_that_are_told_one_by_one_count_once(counted: Counts) -> None:
    request: Any = SimpleNamespace()
    observation = Observation(request, ())
    together, apart = Stage(observation, "hooks", "request"), Stage(observation, "hook", "Guard.process_request")
    apart.end()
    together.end()
    for _ in range(2):
        told: Any = SimpleNamespace(route_name="front", status=200, own_seconds=observation.own_seconds)
        counted.request_ended(told)
    assert counted.peek()["stages"] == {"front": {"hooks": [pytest.approx(2 * together.seconds), 2]}}


def test_counts_are_kept_until_they_are_taken(counted: Counts) -> None:
    for _ in range(5):
        ended(counted, seconds=0.05)
    assert counted.peek()["seconds"]["front"] == [5, 0, 0, pytest.approx(0.25)]
    assert counted.peek()["seconds"]["front"] == [5, 0, 0, pytest.approx(0.25)]
    assert counted.take()["requests"] == {"front": {"GET 2xx": 5}}
    ended(counted)
    assert counted.take()["requests"] == {"front": {"GET 2xx": 1}}


async def test_plain_tornados_requests_count_when_they_are_answered() -> None:
    answers: list[Any] = []

    class Late(RequestHandler):
        async def get(self) -> None:
            answers.append(asyncio.get_running_loop().create_future())
            await answers[0]

    application = Application([*URLS, ("/late", Late)])
    counted = made(application)
    async with TestClient(application) as client:
        asked = asyncio.create_task(client.get("/late"))
        await until(lambda: answers)
        await asyncio.sleep(0)
        assert counted.now()["in_progress"] == 1
        assert "requests" not in counted.peek()
        answers[0].set_result(None)
        assert (await asked).status_code == 200
        await until(lambda: counted.now()["in_progress"] == 0)
    assert counted.peek()["requests"] == {"/late": {"GET 2xx": 1}}


def test_what_is_taken_is_not_counted_again(counted: Counts) -> None:
    totals = WorkerTotals()
    counted._cache["a"] = [1, 0, 0, 1, 0.5]
    totals.add(counted.take())
    totals.add(counted.take())
    assert totals.counts == {"cache": {"a": [1, 0, 0, 1, 0.5]}}


@pytest.fixture
def started() -> Iterator[Counts]:
    counted = made(Application([]))
    yield counted
    counted.stop()


def test_calls_count_by_their_service_with_their_errors(counted: Counts) -> None:
    """A call that was cancelled is none: its caller has left."""
    for error in (None, CacheUnavailable("down"), asyncio.CancelledError()):
        counted._call_ended(Call("cache", "fast", "get_many", "3 keys", 0.0, 0.5, hits=1, misses=2, error=error))
        counted._call_ended(Call("sql", "default", "SELECT", "SELECT 1", 0.0, 0.25, role="slave", error=error))
    counted._call_ended(Call("sql", "default", "INSERT", "INSERT", 0.0, 1.0, role="master"))
    found = counted.peek()
    assert found["cache"] == {"fast": [3, 6, 1, 3, 1.5]}
    assert found["sql"] == {"default slave": [3, 1, 0.75], "default master": [1, 0, 1.0]}


async def test_the_largest_lag_of_the_loop_is_told(started: Counts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_LAG_SECONDS", 0.001)
    assert started.now()["lag"] == 0.0
    started.start()
    await until(lambda: started._lags)
    loop = asyncio.get_running_loop()
    started._note_lag(loop, loop.time() - 5)
    assert 5 <= started.now()["lag"] < 60


async def test_a_visitors_session_is_counted_where_there_is_one() -> None:
    class Visit(WebHandler):
        async def get(self, sessionid: str) -> None:
            self.session = SimpleNamespace(sessionid=sessionid)  # type: ignore[assignment]
            self.finish("seen")

    application = Application([*URLS, (r"/visit/(\w*)", Visit)])
    counted = made(application)
    counted.count_sessions()
    async with TestClient(application) as client:
        for path in ("/visit/abc", "/visit/", "/visit/def", "/plain"):
            assert (await client.get(path)).status_code == 200
        await until(lambda: counted.now()["in_progress"] == 0)
    assert counted.peek()["sessions"] == 2
