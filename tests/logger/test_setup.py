"""LOGGING and the `--log_*` options."""

import json
import logging
import logging.handlers
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torngas_aio import global_settings
from torngas_aio.exception import ConfigError
from torngas_aio.logger import (
    BackgroundStreamHandler,
    ProcessLogTimedFileHandler,
    access_logger,
    info_logger,
    init_logging,
    shutdown_logging,
    syslogger,
    trace_logger,
)

LOGGERS = [
    "py.warnings",
    "tornado",
    "torngas_aio.tracelog",
    "torngas_aio.accesslog",
    "torngas_aio.infolog",
    "torngas_aio",
    "shop",
]


@pytest.fixture(autouse=True)
def logging_taken_down() -> Iterator[None]:
    yield
    shutdown_logging()
    left = [handler for name in LOGGERS for handler in logging.getLogger(name).handlers]
    assert [handler for handler in left if not type(handler).__module__.startswith("_pytest")] == []


def start(tmp_path: Path, logging_list: Any = global_settings.LOGGING, **options: Any) -> None:
    init_logging(SimpleNamespace(**options), SimpleNamespace(LOGGING=logging_list, LOGGING_DIR=str(tmp_path)))


def lines_of(path: Path) -> list[str]:
    shutdown_logging()
    return path.read_text().splitlines()


def test_the_defaults_write_each_log_to_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    access_logger.info("GET / 200")
    syslogger.info("informed")
    syslogger.warning("warned")
    syslogger.error("failed")
    logging.getLogger("tornado.general").warning("tornado says")
    assert lines_of(tmp_path / "access.log") == ["GET / 200"]
    assert [line.rpartition(" ")[2] for line in lines_of(tmp_path / "info.log")] == ["informed", "warned"]
    assert re.search(r"torngas_aio\.tracelog test_setup:\d+\] failed$", lines_of(tmp_path / "trace.log")[0])
    assert "tornado says" in (tmp_path / "tornado.log").read_text()
    assert "GET / 200\n" in capsys.readouterr().err


def test_a_line_names_the_place_that_called(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    try:
        raise ValueError("why")
    except ValueError:
        syslogger.exception("broken")
    lines = lines_of(tmp_path / "trace.log")
    assert "torngas_aio.tracelog test_setup:" in lines[0]
    assert lines[-1] == "    ValueError: why"


def test_errors_of_the_framework_reach_the_trace_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    logging.getLogger("torngas_aio.closing").error("a pool would not close")
    logging.getLogger("torngas_aio.closing").info("not an error")
    assert [line.endswith("a pool would not close") for line in lines_of(tmp_path / "trace.log")] == [True]


def test_warnings_go_into_the_info_log_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    start(tmp_path)
    start(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old\nname", DeprecationWarning, stacklevel=1)
    (line,) = lines_of(tmp_path / "info.log")
    assert re.search(r"\[W .* py\.warnings .*\] .*test_setup\.py:\d+: DeprecationWarning: old\\nname$", line)
    assert warnings.showwarning is before


def test_warnings_may_have_an_entry_of_their_own(tmp_path: Path) -> None:
    start(
        tmp_path, [{"name": "py.warnings", "filename": "w.log"}, {"name": "torngas_aio.infolog", "filename": "i.log"}]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in lines_of(tmp_path / "w.log")[0]
    assert not (tmp_path / "i.log").exists()


def test_taking_down_has_one_deadline_for_all_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(ProcessLogTimedFileHandler, "write_lines", lambda *_: stuck.wait(10))
    start(tmp_path, [{"name": name, "filename": f"{name}.log"} for name in ("a", "b", "c")])
    seconds: list[float] = []
    join = threading.Thread.join

    def count(self: threading.Thread, timeout: float | None = None) -> None:
        seconds.append(-1 if timeout is None else timeout)
        join(self, 0)

    monkeypatch.setattr(threading.Thread, "join", count)
    for name in "abc":
        logging.getLogger(name).error("x")
    assert not shutdown_logging(0.1)
    assert len(seconds) == 3
    assert all(0 <= each <= 0.1 for each in seconds)
    assert shutdown_logging()
    monkeypatch.undo()
    stuck.set()


def test_a_stuck_log_does_not_keep_the_others_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()
    write = ProcessLogTimedFileHandler.write_lines

    def write_lines(self: ProcessLogTimedFileHandler, data: bytes) -> None:
        if self.baseFilename.endswith("c.log"):
            stuck.wait(10)
        write(self, data)

    monkeypatch.setattr(ProcessLogTimedFileHandler, "write_lines", write_lines)
    start(tmp_path, [{"name": name, "filename": f"{name}.log"} for name in ("a", "b", "c")])
    for name in "abc":
        logging.getLogger(name).info("from %s", name)
    assert not shutdown_logging(0.5)
    assert "from a" in (tmp_path / "a.log").read_text()
    assert "from b" in (tmp_path / "b.log").read_text()
    stuck.set()


def test_levels_and_propagation_are_as_before_once_taken_down(tmp_path: Path) -> None:
    before = [(logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    start(tmp_path)
    assert trace_logger.level == logging.ERROR
    assert not trace_logger.propagate
    shutdown_logging()
    assert [(logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)] == before
    shutdown_logging()


def test_setting_up_twice_writes_each_line_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start(tmp_path)
    start(tmp_path)
    info_logger.info("once")
    assert len(lines_of(tmp_path / "info.log")) == 1
    assert capsys.readouterr().err.count("once") == 1


def test_logging_dir_and_the_port_go_into_the_file_names(tmp_path: Path) -> None:
    start(tmp_path / "not here", logging_dir=str(tmp_path / "here"), log_port_prefix=True, port=8001)
    access_logger.info("x")
    assert lines_of(tmp_path / "here" / "8001.access.log") == ["x"]
    assert not (tmp_path / "not here").exists()


@pytest.mark.parametrize("choice", [True, False])
def test_log_to_stderr_overrules_every_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: bool) -> None:
    entries = [{"name": "shop", "log_to_stderr": not choice}]
    start(tmp_path, entries, log_to_stderr=choice)
    logging.getLogger("shop").info("sold")
    shutdown_logging()
    assert ("sold" in capsys.readouterr().err) is choice


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, ProcessLogTimedFileHandler),
        ({"log_rotate_mode": "size"}, ProcessLogTimedFileHandler),
        ({"log_patch": False}, logging.handlers.TimedRotatingFileHandler),
        ({"log_patch": False, "log_rotate_mode": "size"}, logging.handlers.RotatingFileHandler),
    ],
)
def test_log_patch_and_rotate_mode_choose_the_handler(
    tmp_path: Path, options: dict[str, Any], kind: type[logging.Handler]
) -> None:
    start(tmp_path, [{"name": "shop", "filename": "shop.log", "when": "H", "backups": 4}], **options)
    (handler,) = logging.getLogger("shop").handlers
    assert type(handler) is kind
    logging.getLogger("shop").info("sold")
    assert "sold" in (lines_of(tmp_path / "shop.log"))[0]


def test_rotate_options_overrule_every_entry(tmp_path: Path) -> None:
    start(tmp_path, [{"name": "shop", "filename": "shop.log"}], log_rotate_when="H", log_rotate_interval=6)
    (handler,) = logging.getLogger("shop").handlers
    assert isinstance(handler, ProcessLogTimedFileHandler)
    period = handler._file._period
    assert period is not None
    assert (period.when, period.interval) == ("H", 6)


def test_an_entry_may_have_its_own_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"name": "shop", "filename": "shop.log", "log_to_stderr": True, "formatter": "json"}
    start(tmp_path, [entry])
    logging.getLogger("shop").info("sold")
    assert lines_of(tmp_path / "shop.log")[0].startswith('{"time": "')
    assert capsys.readouterr().err.startswith('{"time": "')


def test_loggers_without_an_entry_go_to_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    init_logging()
    logging.getLogger("shop").info("sold")
    assert isinstance(root.handlers[0], BackgroundStreamHandler)
    shutdown_logging()
    assert root.handlers == []
    assert capsys.readouterr().err.endswith("sold\n")


def test_an_entry_may_stand_for_all_other_loggers(tmp_path: Path) -> None:
    start(tmp_path, [{"name": "", "filename": "all.log"}])
    logging.getLogger("shop").info("sold")
    assert "sold" in lines_of(tmp_path / "all.log")[0]


def test_disable_log_false_turns_tornados_own_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tornado.log

    calls: list[Any] = []
    monkeypatch.setattr(tornado.log, "enable_pretty_logging", calls.append)
    options = SimpleNamespace(disable_log=False)
    init_logging(options, SimpleNamespace(LOGGING=global_settings.LOGGING, LOGGING_DIR=str(tmp_path)))
    assert calls == [options]
    assert trace_logger.handlers == []
    assert list(tmp_path.iterdir()) == []


def test_every_fault_of_the_setting_is_in_one_list() -> None:
    entries = [
        {"name": 3, "level": "LOUD"},
        {"name": "shop", "when": "never", "file": "x"},
        {"name": "shop", "formatter": "no field"},
        {"name": "shop", "interval": 0},
    ]
    with pytest.raises(ConfigError) as caught:
        init_logging(None, SimpleNamespace(LOGGING=entries))
    text = str(caught.value)
    assert len(caught.value.faults) == 6
    for part in (
        "LOGGING[0]['name'] = 3",
        "['level'] = 'LOUD'",
        "LOGGING[1]['file']",
        "'never'",
        "[2]['formatter']",
        "0",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("entry", "is_shown"),
    [
        ({"name": ""}, True),
        ({"name": "", "propagate": True}, True),
        ({"name": "shop"}, True),
        ({"name": "shop", "log_to_stderr": False}, False),
        ({"name": "shop", "filename": "shop.log"}, False),
    ],
)
def test_an_entry_without_a_file_goes_to_stderr_unless_it_says_otherwise(
    entry: dict[str, Any],
    is_shown: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    init_logging(None, SimpleNamespace(LOGGING=[{**entry, "formatter": "json"}], LOGGING_DIR=str(tmp_path)))
    try:
        logging.getLogger("shop").warning("one line")
    finally:
        shutdown_logging()
    shown = capfd.readouterr().err
    assert [json.loads(line)["message"] for line in shown.splitlines()] == ["one line"] * is_shown


def test_the_formatter_of_the_command_line_is_that_of_all_that_no_entry_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Loggers that LOGGING does not name, the parent's among them, and what is told of logs that fail."""
    entries = [{"name": "shop"}, {"name": "bare", "formatter": "%(message)s"}]
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    init_logging(SimpleNamespace(log_formatter="json"), SimpleNamespace(LOGGING=entries, LOGGING_DIR=str(tmp_path)))
    try:
        for name in ("shop", "torngas_aio.supervisor"):
            logging.getLogger(name).warning("one line")
        logging.getLogger("bare").warning("another")
    finally:
        shutdown_logging()
    lines = capfd.readouterr().err.splitlines()
    lines.remove("another")
    assert sorted(json.loads(line)["logger"] for line in lines) == ["shop", "torngas_aio.supervisor"]


@pytest.mark.parametrize(
    ("directory", "option", "files", "is_shown"),
    [("", {}, [], True), ("", {"log_to_stderr": False}, [], False), ("logs", {}, ["a.log"], False)],
)
def test_without_a_directory_lines_go_to_stderr_and_no_file_is_made(
    directory: str,
    option: dict[str, Any],
    files: list[str],
    is_shown: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = {"name": "shown.or.not", "filename": "a.log", "formatter": "%(message)s"}
    init_logging(SimpleNamespace(**option), SimpleNamespace(LOGGING=[entry], LOGGING_DIR=directory))
    try:
        logging.getLogger("shown.or.not").info("one line")
    finally:
        shutdown_logging()
    assert [path.name for path in tmp_path.rglob("*.log")] == files
    assert (capfd.readouterr().err == "one line\n") is is_shown
