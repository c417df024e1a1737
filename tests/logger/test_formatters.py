"""A record is one line, whatever it holds."""

import json
import logging
import sys
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from torngas_aio.context import enter_request, leave_request
from torngas_aio.logger.formatters import JsonFormatter, LineFormatter, make_formatter

HOSTILE = "ok\n[E 2026-01-01 00:00:00.000 - root x:1] forged\r\x1b[2J\u2028\u202e\x9b\ud800"


def record(message: str = "hello", *args: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop.orders", level, "/srv/orders.py", 12, message, args, extra.pop("exc_info", None))
    vars(made).update(extra)
    return made


def failure() -> Any:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        return sys.exc_info()


def request_with(headers: dict[str, str]) -> HTTPServerRequest:
    class Connection:
        context = None

    return HTTPServerRequest(
        connection=Connection(),  # type: ignore[arg-type]
        start_line=RequestStartLine("GET", "/", "HTTP/1.1"),
        headers=HTTPHeaders({"Host": "localhost", **headers}),
    )


def test_a_line_says_level_time_request_logger_and_place() -> None:
    line = LineFormatter().format(record("%s and %d", "one", 2))
    head, _, message = line.partition("] ")
    assert message == "one and 2"
    assert head.startswith("[I 2")
    assert head.endswith(" - shop.orders orders:12")


def test_the_request_id_is_in_every_line_of_its_request() -> None:
    token = enter_request(request_with({"X-Request-ID": "abc-123"}))
    try:
        assert " abc-123 " in LineFormatter().format(record())
        assert json.loads(JsonFormatter().format(record()))["request_id"] == "abc-123"
        assert LineFormatter("%(request_id)s %(message)s").format(record(request_id="own")) == "own hello"
    finally:
        leave_request(token)
    assert json.loads(JsonFormatter().format(record()))["request_id"] is None


@pytest.mark.parametrize("fmt", ["%(message)s", "%(name)s %(message)s", None, "json"])
def test_no_message_begins_a_line_of_its_own_or_speaks_to_the_terminal(fmt: str | None) -> None:
    made = record("user %s", HOSTILE)
    made.name = HOSTILE
    line = make_formatter(fmt).format(made)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    line.encode()


def test_a_traceback_is_indented_and_its_controls_are_written_out() -> None:
    line = LineFormatter("%(message)s").format(record("failed", exc_info=failure(), stack_info="Stack:\n  here"))
    first, *rest = line.split("\n")
    assert first == "failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-2:] == ["    Stack:", "      here"]
    assert all(each.startswith("    ") for each in rest)
    assert "\x1b" not in line
    assert "\u2028" not in line


def test_json_holds_what_was_passed_as_extra_and_the_traceback() -> None:
    found = json.loads(JsonFormatter().format(record("失败 %s", "x", exc_info=failure(), user=7, thing=object)))
    assert found["message"] == "失败 x"
    assert (found["user"], found["thing"]) == (7, "<class 'object'>")
    assert (found["level"], found["logger"], found["place"]) == ("INFO", "shop.orders", "/srv/orders.py:12")
    assert found["time"].endswith("Z")
    assert found["traceback"].startswith("Traceback (most recent call last):")
    assert "traceback" not in json.loads(JsonFormatter().format(record()))


def test_colours_frame_the_head_only() -> None:
    coloured = LineFormatter(is_coloured=True)
    line = coloured.format(record("[x] hello", level=logging.ERROR))
    assert line.startswith("\x1b[31m[E ")
    assert line.endswith("orders:12]\x1b[0m [x] hello")
    assert "\x1b" not in coloured.format(record(level=5))
    assert LineFormatter("%(message)s", is_coloured=True).format(record()) == "hello"


def test_a_message_whose_arguments_do_not_fit_is_an_error_of_the_record() -> None:
    with pytest.raises(TypeError, match="not all arguments"):
        LineFormatter().format(record("no place", 1))


def test_each_second_is_written_anew() -> None:
    """The time is that of the record, whatever was written before; a format for it is kept to."""
    lines = LineFormatter("%(asctime)s %(message)s")
    dated = LineFormatter("%(asctime)s %(message)s", datefmt="%H.%M.%S")
    for moment in (1_000.25, 1_000.999, 1_001.0, 1_000.5):
        record = logging.makeLogRecord({"msg": "x", "created": moment, "msecs": moment % 1 * 1000})
        plain = logging.Formatter("%(asctime)s %(message)s")
        plain.default_msec_format = "%s.%03d"
        assert lines.format(record) == plain.format(record)
        assert dated.format(record) == logging.Formatter("%(asctime)s %(message)s", "%H.%M.%S").format(record)


def test_a_format_given_for_one_time_holds_for_that_one() -> None:
    """And a subclass may leave the milliseconds out."""

    class Whole(LineFormatter):
        default_msec_format = None  # type: ignore[assignment]

    made = logging.makeLogRecord({"msg": "x", "created": 1_000.5, "msecs": 500.0})
    assert LineFormatter().formatTime(made, "%M:%S") == logging.Formatter().formatTime(made, "%M:%S")
    assert Whole().formatTime(made) == LineFormatter().formatTime(made).removesuffix(".500")
    assert LineFormatter().formatTime(logging.makeLogRecord({"created": -1.0, "msecs": 0.0})).endswith("59.000")


def test_what_structlog_has_bound_is_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    try:
        with caplog.at_level(logging.INFO, "bound"), structlog.contextvars.bound_contextvars(order=7):
            structlog.get_logger("bound").bind(shop="north\n").info("sold", count=3)
        line = JsonFormatter().format(caplog.records[-1])
    finally:
        structlog.reset_defaults()
    found = json.loads(line)
    assert "\n" not in line
    assert {name: found[name] for name in ("message", "order", "shop", "count")} == {
        "message": "sold", "order": 7, "shop": "north\n", "count": 3,
    }  # fmt: skip


def test_further_fields_are_in_json_and_where_a_format_names_them() -> None:
    from torngas_aio.logger import field_sources

    line = LineFormatter("%(trace_id)s %(span_id)s %(message)s")
    assert line.format(record()) == "- - hello"
    field_sources.append(lambda: {"trace_id": "t1", "span_id": "s1"})
    try:
        assert line.format(record()) == "t1 s1 hello"
        assert json.loads(JsonFormatter().format(record()))["span_id"] == "s1"
    finally:
        field_sources.pop()
