"""Lines wait in a bounded queue and are written by a thread of their own."""

import os
import sys
import threading
from io import StringIO

import pytest

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

    def __call__(self, lines: list[str]) -> None:
        self.thread = threading.current_thread()
        self.entered.set()
        self.gate.wait(10)
        if self.error:
            raise self.error
        self.batches += 1
        self.lines += lines


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


def test_a_full_queue_drops_counts_and_says_so(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test", max_lines=10)
    sink.gate.clear()
    writer.put("first")
    sink.entered.wait(10)
    answers = [writer.put(str(number)) for number in range(15)]
    assert answers == [True] * 10 + [False] * 5
    assert writer.dropped == 5
    sink.gate.set()
    assert writer.flush()
    assert "5 log lines were dropped here: 10 were already waiting." in sink.lines
    assert [line for line in sink.lines if "dropped" not in line] == ["first", *map(str, range(10))]
    writer.put("later")
    assert writer.close()
    assert sum("dropped" in line for line in sink.lines) == 1
    assert sink.lines[-1] == "later"


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


def test_closing_writes_what_waits_and_a_later_line_starts_anew(sink: Sink) -> None:
    writer = BackgroundWriter(sink, name="test")
    for number in range(3000):
        writer.put(str(number))
    assert writer.close()
    assert len(sink.lines) == 3000
    assert writer.close()
    writer.put("again")
    assert writer.close()
    assert sink.lines[-1] == "again"
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
    writer.close()
    assert sink.lines == ["kept"]


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
            untouched = writer.flush() and writer.close()
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
