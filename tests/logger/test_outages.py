"""A known outage is one line a second, with a count of what was left out."""

import logging
import threading

import pytest

from tests.contracts.cache.subject import Clock
from tests.polling import until
from torngas_aio.exception import CacheUnavailable, DatabaseUnavailable, PoolExhausted
from torngas_aio.logger import OutageLog

logger = logging.getLogger("tests.outages")


def test_the_first_report_is_written_and_the_rest_of_the_second_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outages = OutageLog(logger, logging.WARNING, clock=clock)
    for number in range(100):
        outages.report("redis", "Redis at %s is down: %d.", "10.0.0.1", number)
    assert [record.getMessage() for record in caplog.records] == ["Redis at 10.0.0.1 is down: 0."]
    assert caplog.records[0].levelno == logging.WARNING
    clock.now += 1
    outages.report("redis", "Redis is down: 100.")
    assert caplog.messages[1:] == ["Redis is down: 100. (99 more like it within the last 1 s)"]
    clock.now += 1
    outages.report("redis", "Redis is down: 101.")
    assert caplog.messages[2:] == ["Redis is down: 101."]


def test_a_long_outage_is_told_ever_less_often_and_the_next_one_at_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outages = OutageLog(logger, clock=clock)
    began = clock.now
    written: list[float] = []
    for tenth in range(400):
        clock.now = began + tenth / 10
        seen = len(caplog.messages)
        outages.report("redis", "down")
        written += [tenth / 10] * (len(caplog.messages) - seen)
    assert written == [0, 1, 2, 4, 8, 16, 24, 32]
    assert caplog.messages[3] == "down (19 more like it within the last 2 s)"
    clock.now += 30
    outages.report("redis", "down again")
    clock.now += 1
    outages.report("redis", "down again")
    assert [message.partition(" (")[0] for message in caplog.messages[-2:]] == ["down again"] * 2


def test_outages_are_told_apart_by_their_key(caplog: pytest.LogCaptureFixture) -> None:
    outages = OutageLog(logger, clock=Clock())
    for _ in range(3):
        outages.report("a", "100% of a is down.")
        outages.report(("b", 1), "b is down.")
    assert caplog.messages == ["100% of a is down.", "b is down."]


async def test_a_running_loop_writes_the_count_when_nothing_follows(caplog: pytest.LogCaptureFixture) -> None:
    outages = OutageLog(logger, seconds=0.02, clock=Clock())  # which stands still, however slow the machine is
    for number in range(5):
        outages.report("a", "down %d", number)
    await until(lambda: len(caplog.messages) >= 2)
    assert caplog.messages == ["down 0", "down 4 (3 more like it within the last 0.02 s)"]


@pytest.mark.parametrize("kind", [CacheUnavailable, DatabaseUnavailable, PoolExhausted])
def test_an_error_that_is_an_outage_is_a_line_a_second(kind: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outages = OutageLog(logger, clock=clock)
    for name in "abab":
        outages.report_error(kind("10.0.0.1: no answer"), "The hook %s failed.", name)
    assert caplog.messages == [f"The hook {name} failed. 10.0.0.1: no answer" for name in "ab"]
    outages.report_error(KeyError("other"), "The hook %s failed.", "a")
    assert caplog.messages[2:] == ["The hook a failed."]
    assert [record.exc_info is None for record in caplog.records] == [True, True, False]


def test_keys_without_end_do_not_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outages = OutageLog(logger, clock=clock)
    for number in range(2000):
        outages.report(number, "%d is down.", number)
    assert len(outages._reports) < 300
    assert len(caplog.messages) < 300
    clock.now += 2
    outages.report("new", "new is down.")
    assert len(outages._reports) < 300
    assert caplog.messages[-1] == "new is down."


def test_threads_may_report(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outages = OutageLog(logger, clock=clock)

    def report_often() -> None:
        for _ in range(50):
            outages.report("a", "down")

    threads = [threading.Thread(target=report_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now += 1
    outages.report("a", "down")
    assert caplog.messages == ["down", "down (399 more like it within the last 1 s)"]
