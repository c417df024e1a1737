"""Lines wait in a bounded buffer and are written by a thread of their own."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import StringIO

import pytest

from torngas_aio.logger import background
from torngas_aio.logger.background import BackgroundWriter


class Sink:
    """Keeps lines; stands still while `gate` is clear."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.batches = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.error: Exception | None = None
        self.thread: threading.Thread | None = None

    def __call__(self, data: bytes) -> None:
        self.thread = threading.current_thread()
        self.entered.set()
        self.gate.wait(10)
        if self.error:
            raise self.error
        self.batches += 1
        self.lines += data.decode().splitlines()


@pytest.fixture
def sink() -> Sink:
    return Sink()


def test_lines_are_written_in_order_by_another_thread_in_batches(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    for number in range(5000):
        assert writer.put(str(number))
    assert writer.flush()
    assert sink.lines == [str(number) for number in range(5000)]
    assert sink.batches < 100
    assert sink.thread is not None
    assert sink.thread is not threading.current_thread()
    assert sink.thread.daemon
    assert writer.close()


async def fill_from_loop(writer: BackgroundWriter, lines: int, level: int = logging.INFO) -> list[bool]:
    return [writer.put("0123456", level) for _ in range(lines)]


def test_with_a_full_buffer_the_loop_drops_counts_and_says_so(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test", max_bytes=80)
    sink.gate.clear()
    answers = asyncio.run(fill_from_loop(writer, 15))
    assert answers == [True] * 10 + [False] * 5
    assert writer.dropped == 5
    assert asyncio.run(fill_from_loop(writer, 15, logging.ERROR)) == [True] * 10 + [False] * 5
    sink.gate.set()
    assert writer.flush()
    assert sink.lines.count("0123456") == 20
    writer.put("later")
    assert writer.close()
    assert [line for line in sink.lines if "dropped" in line] == [
        "10 log lines were dropped here: the buffer was full."
    ]
    assert sink.lines[-1] == "later"


def test_the_loop_waits_a_little_for_room_and_no_longer_than_its_share_of_a_second(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    wait = threading.Condition.wait_for

    def wait_for(self: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread():
            waits.append(-1 if timeout is None else timeout)
            return predicate()
        return wait(self, predicate, timeout)

    now = [1000.0]

    def monotonic() -> float:
        now[0] += 0.004  # between two looks at the clock: a wait of 4 ms
        return now[0]

    sink.gate.clear()
    writer = BackgroundWriter(sink, name="test", max_bytes=8)
    monkeypatch.setattr(background, "_wait_budget", background._WaitBudget())
    monkeypatch.setattr(time, "monotonic", monotonic)
    monkeypatch.setattr(threading.Condition, "wait_for", wait_for)
    asyncio.run(fill_from_loop(writer, 1 + 40))
    assert waits[:23] == [0.01] * 23
    assert all(0 <= each <= 0.01 for each in waits)
    assert waits[-1] == 0
    now[0] += 1
    asyncio.run(fill_from_loop(writer, 1))
    assert waits[-1] == 0.01
    monkeypatch.undo()
    sink.gate.set()
    assert writer.close()


def test_with_a_full_buffer_a_thread_waits_and_nothing_is_lost(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test", max_bytes=1000)
    sink.gate.clear()
    threads = [
        threading.Thread(target=lambda: [writer.put(str(number)) for number in range(2000)], daemon=True)
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    sink.entered.wait(10)
    sink.gate.set()
    for thread in threads:
        thread.join()
    assert writer.close()
    assert sorted(sink.lines) == sorted([str(number) for number in range(2000)] * 3)
    assert writer.dropped == 0


def test_a_waiting_thread_does_not_hold_up_the_loop(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test", max_bytes=8)
    sink.gate.clear()
    waiting = threading.Thread(target=lambda: [writer.put("0123456") for _ in range(3)])
    waiting.start()
    sink.entered.wait(10)
    assert asyncio.run(fill_from_loop(writer, 1)) == [False]
    sink.gate.set()
    waiting.join()
    assert writer.close()


def test_a_line_longer_than_the_buffer_is_written_alone(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test", max_bytes=8)
    assert writer.put("x" * 100)
    assert writer.close()
    assert sink.lines == ["x" * 100]


def test_what_the_sink_logs_itself_does_not_wait_for_itself() -> None:
    def write(data: bytes) -> None:
        written.append(data)
        if len(written) == 1:
            answers.extend(writer.put("from the sink") for _ in range(3))

    written: list[bytes] = []
    answers: list[bool] = []
    writer = BackgroundWriter(write, name="test", max_bytes=30)
    writer.put("first")
    assert writer.flush()
    assert answers == [True, False, False]
    assert writer.close()


def test_a_line_from_within_put_does_not_deadlock(sink: Sink) -> None:
    """A signal handler or a finalizer may log at any moment, in the same thread."""
    writer = BackgroundWriter(sink, name="test")
    with writer._lock:
        assert writer.put("nested")
    assert writer.close()
    assert sink.lines == ["nested"]


def test_the_thread_is_not_woken_for_each_line(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    writer.put("first")
    notified = 0
    notify = writer._arrived.notify

    def count() -> None:
        nonlocal notified
        notified += 1
        notify()

    writer._arrived.notify = count  # type: ignore[method-assign, assignment]  # seen from outside
    for number in range(1000):
        writer.put(str(number))
    assert notified <= 2
    writer.put("failed", logging.ERROR)
    assert notified >= 1
    assert writer.close()
    assert len(sink.lines) == 1002


def test_flushing_gives_up_when_the_sink_stands_still(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    assert writer.flush()
    sink.gate.clear()
    writer.put("x")
    assert not writer.flush(0.01)
    assert not writer.close(0.01)
    sink.gate.set()
    assert sink.thread is not None
    sink.thread.join(10)
    assert sink.lines == ["x"]


def test_closing_writes_what_waits_and_a_later_line_is_written_by_the_caller(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    for number in range(3000):
        writer.put(str(number))
    assert writer.close()
    assert len(sink.lines) == 3000
    assert writer.close()
    writer.put("again")
    assert writer.close()
    assert sink.lines[-1] == "again"
    assert sink.thread is threading.current_thread()
    assert not any("log-writer test" in thread.name for thread in threading.enumerate())


def test_a_failing_sink_is_counted_and_mentioned_once(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    writer = BackgroundWriter(sink, name="test")
    sink.error = OSError("disk full")
    for _ in range(3):
        writer.put("lost")
        writer.flush()
    assert writer.failed == 3
    assert stderr.getvalue().count("Writing the log test failed") == 1
    assert "disk full" in stderr.getvalue()
    sink.error = None
    writer.put("kept")
    writer.flush()
    writer.put("kept, too")
    writer.close()
    assert sink.lines == ["3 log lines are missing here: they could not be written.", "kept", "kept, too"]
    assert stderr.getvalue().count("The log test is written again; 3 lines were lost.") == 1


def test_errors_that_cannot_be_written_are_on_stderr(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are counted; all of it is told at the end at the latest."""
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(background, "lost_lines", Counter())
    writer = BackgroundWriter(sink, name="test")
    sink.error = OSError("disk full")
    writer.put("an info")
    writer.put("an error", logging.ERROR)
    writer.flush()
    writer.put("another info")
    writer.close()
    assert [line for line in stderr.getvalue().splitlines() if line.startswith("an")] == ["an error"]
    assert "The log test ends without 3 lines: they could not be written." in stderr.getvalue()
    assert background.lost_lines == {"not written": 3}


def test_without_stderr_a_failing_sink_is_counted_all_the_same(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    writer = BackgroundWriter(sink, name="test")
    sink.error = OSError("disk full")
    writer.put("lost")
    writer.close()
    assert writer.failed == 1


def test_a_forked_child_writes_its_own_lines_only(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    sink.gate.clear()
    writer.put("parent 1")
    sink.entered.wait(10)
    writer.put("parent 2")
    child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        try:
            sink.gate = threading.Event()
            sink.gate.set()
            sink.lines.clear()
            untouched = writer.flush()
            writer.put("child")
            ended = writer.close()
            os._exit(0 if untouched and ended and sink.lines == ["child"] else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sink.gate.set()
    writer.close()
    assert sink.lines == ["parent 1", "parent 2"]


def test_at_the_end_of_the_program_lines_are_written_by_the_caller(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer = BackgroundWriter(sink, name="test")
    assert writer.put("last words")
    assert sink.lines == ["last words"]
    assert sink.thread is threading.current_thread()
