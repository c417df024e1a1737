"""A store that is down is probed in the background; callers are refused meanwhile and never wait."""

import asyncio
import contextvars
import logging

import pytest

from tests.polling import until
from torngas_aio.cache import circuit_breaker
from torngas_aio.cache.circuit_breaker import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PROBE_SECONDS,
    CircuitBreaker,
    suspect_timeout_of,
)

request_id = contextvars.ContextVar("request_id", default="none")


class Store:
    def __init__(self) -> None:
        self.probes = 0
        self.seen: list[str] = []
        self.is_back = False
        self.hangs = False
        self.breaker = CircuitBreaker("The store at 10.0.0.1:1", self.probe, 0.002)

    async def probe(self) -> None:
        self.probes += 1
        self.seen.append(request_id.get())
        if self.hangs:
            await asyncio.Event().wait()
        if not self.is_back:
            raise ConnectionError("refused")

    async def until_back(self) -> None:
        await until(lambda: not self.breaker.is_open)


def test_a_store_that_returns_is_noticed_within_a_second() -> None:
    assert PROBE_SECONDS <= 0.4
    assert FIRST_PAUSE <= LONGEST_PAUSE <= 0.5
    assert PROBE_SECONDS + LONGEST_PAUSE < 1


async def test_it_probes_until_the_store_is_back_and_logs_both_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    request_id.set("of a request")
    for _ in range(20):
        store.breaker.failed("no answer within 2 s.")
    await until(lambda: store.probes >= 5)
    assert store.breaker.is_open
    assert store.breaker.reason == "refused"
    store.is_back = True
    await store.until_back()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages == [
        "The store at 10.0.0.1:1 is down: no answer within 2 s.",
        "The store at 10.0.0.1:1 is back.",
    ]
    assert set(store.seen) == {"none"}, "the task outlives the request that met the outage"
    probes = store.probes
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert store.probes == probes, "a store that is up is not probed"
    store.breaker.failed("again")
    await store.until_back()
    assert store.probes == probes + 1


async def test_pauses_between_probes_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    breaker = CircuitBreaker("The store", _refuse, 0.5)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            breaker.succeeded()

    for _ in range(2):
        pauses.clear()
        breaker.failed("refused")
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", sleep)
            while breaker.is_open:
                turn = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(turn.set_result, None)
                await turn
        assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]
    await breaker.aclose()


async def _refuse() -> None:
    raise ConnectionError("refused")


async def test_a_probe_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_SECONDS", 0.005)
    store = Store()
    store.hangs = True
    store.breaker.failed("down")
    await until(lambda: store.probes >= 3)
    assert "no answer within" in store.breaker.reason
    store.hangs, store.is_back = False, True
    await store.until_back()


async def test_an_answer_to_a_caller_ends_the_probing(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.breaker.failed("down")
    store.breaker.succeeded()
    store.breaker.succeeded()
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert store.probes == 0
    assert caplog.messages == ["The store at 10.0.0.1:1 is down: down.", "The store at 10.0.0.1:1 is back."]


async def test_closing_ends_it_whatever_it_is_doing() -> None:
    store = Store()
    await store.breaker.aclose()
    store.hangs = True
    store.breaker.failed("down")
    await until(lambda: store.probes)
    await store.breaker.aclose()
    await store.breaker.aclose()
    assert not store.breaker._probing.is_running


@pytest.mark.parametrize(("waits", "downs"), [(True, 1), (False, 0)])
async def test_a_store_that_answers_nobody_is_down_while_a_call_waits(waits: bool, downs: int) -> None:
    store = Store()
    reasons: list[str] = []

    def silent(reason: str) -> None:
        reasons.append(reason)
        if waits:
            store.breaker.failed(reason)

    store.hangs = True
    for _ in range(3):
        store.breaker.suspect(store.probe, silent, 0.02)
    await until(lambda: reasons)
    assert reasons == ["no answer within 0.04 s"]
    assert store.breaker.is_open is bool(downs)
    if waits:
        store.breaker.suspect(store.probe, silent, 0.02)
        assert reasons[1:] == [store.breaker.reason], "what is known to be down is not examined"
    await store.breaker.aclose()


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_slow_store_that_answers_or_refuses_is_not_down(refuses: bool) -> None:
    store = Store()
    store.is_back = not refuses
    store.breaker.suspect(store.probe, pytest.fail, 5)
    await until(lambda: store.probes >= 1 and not store.breaker._examining.is_running)
    assert not store.breaker.is_open


async def test_closing_ends_an_examination() -> None:
    store = Store()
    store.hangs = True
    store.breaker.suspect(store.probe, pytest.fail, 5)
    await asyncio.sleep(0)
    await store.breaker.aclose()
    assert not store.breaker._examining.is_running


@pytest.mark.parametrize(("deadline", "suspect_timeout"), [(0.1, 0.4), (2.0, 0.4), (5.0, 1.0)])
def test_the_suspect_timeout_grows_with_long_deadlines(deadline: float, suspect_timeout: float) -> None:
    assert suspect_timeout_of(deadline) == suspect_timeout
