"""What `logging` is given."""

import asyncio
import logging
import os
import pty
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from torngas_aio.logger import BackgroundStreamHandler, ProcessLogTimedFileHandler, handlers
from torngas_aio.logger.handlers import BackgroundHandler


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.Logger("tests.logger.handlers")  # noqa: LOG001  beside the tree: nothing of it goes into a report
    made.setLevel(logging.DEBUG)
    yield made
    for handler in made.handlers[:]:
        made.removeHandler(handler)
        handler.close()


def test_a_file_handler_writes_what_was_logged_at_its_flush(logger: logging.Logger, tmp_path: Path) -> None:
    handler = ProcessLogTimedFileHandler(tmp_path / "deep" / "a.log", when="midnight", interval=1, backupCount=3)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.info("漢字 %s", "\ud800")
    handler.flush()
    assert Path(handler.baseFilename).read_text() == "漢字 \\ud800\n"
    assert handler.dropped == handler.failed == 0


def test_arguments_are_formatted_when_they_are_logged(logger: logging.Logger, tmp_path: Path) -> None:
    handler = ProcessLogTimedFileHandler(tmp_path / "a.log")
    logger.addHandler(handler)
    changing = ["before"]
    logger.info("%s", changing)
    changing[0] = "after"
    handler.flush()
    assert "before" in (tmp_path / "a.log").read_text()


def test_without_a_buffer_the_caller_writes(logger: logging.Logger, tmp_path: Path) -> None:
    handler = ProcessLogTimedFileHandler(tmp_path / "a.log", maxBytes=100, buffer_bytes=0)
    logger.addHandler(handler)
    for number in range(10):
        logger.info("line %d", number)
    assert (tmp_path / "a.log").read_text().endswith("line 9\n")
    assert len(list(tmp_path.glob("a.log.*"))) >= 4
    assert not any("log-writer" in thread.name for thread in threading.enumerate())
    handler.flush()
    assert handler.dropped == handler.failed == 0


def test_a_line_that_cannot_be_made_does_not_break_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = ProcessLogTimedFileHandler(tmp_path / "a.log")
    handler.handle(logging.LogRecord("test", logging.INFO, __file__, 1, "no place", (1,), None))
    handler.close()
    assert "not all arguments converted" in capsys.readouterr().err


def test_a_stream_handler_finds_stderr_where_it_is_now(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = BackgroundStreamHandler()
    logger.addHandler(handler)
    stderr = StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    logger.warning("hello")
    handler.flush()
    assert stderr.getvalue().endswith("hello\n")
    monkeypatch.setattr(sys, "stderr", None)
    logger.warning("nobody hears it")
    handler.flush()
    assert handler.failed == 0


def test_a_terminal_gets_colours_unless_it_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    here, there = pty.openpty()
    with os.fdopen(there, "w") as terminal:
        assert BackgroundStreamHandler(terminal).is_terminal
        monkeypatch.setenv("TERM", "dumb")
        assert not BackgroundStreamHandler(terminal).is_terminal
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        assert not BackgroundStreamHandler(terminal).is_terminal
    os.close(here)
    assert not BackgroundStreamHandler(StringIO()).is_terminal


def test_a_pipe_that_nobody_reads_does_not_hold_up_the_caller(logger: logging.Logger) -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    handler = BackgroundStreamHandler(stream, buffer_bytes=100_000)
    logger.addHandler(handler)

    async def log() -> None:
        for _ in range(400):
            logger.info("%s", "x" * 1000)  # 400 KB into a pipe of 64

    asyncio.run(log())
    assert handler.dropped > 0
    with os.fdopen(reading, "rb") as reader:
        drained = threading.Thread(target=reader.read, daemon=True)
        drained.start()
        handler.close()
        stream.close()
        drained.join()


def test_a_background_handler_must_say_how_it_writes() -> None:
    with pytest.raises(NotImplementedError):
        BackgroundHandler("nothing", 0).write_lines(b"")


def test_a_forked_child_writes_to_stderr_though_a_thread_held_its_lock() -> None:
    reading, writing = os.pipe()
    with handlers._stream_lock:  # as a writing thread would at the moment of the fork
        child = os.fork()
        if child == 0:  # pragma: no cover  # another process
            try:
                handler = BackgroundStreamHandler(os.fdopen(writing, "w"))
                handler.handle(logging.LogRecord("test", logging.INFO, __file__, 1, "child", None, None))
                handler.flush()
                os._exit(0)
            finally:
                os._exit(4)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with os.fdopen(reading) as stream:
        assert stream.read().endswith("child\n")
