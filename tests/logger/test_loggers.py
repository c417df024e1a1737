"""A request has one id; what a client chose stands in log lines as fields that it cannot leave."""

import logging

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import RequestHandler

from tests.logger.test_formatters import request_with
from torngas_aio.application import Application
from torngas_aio.context import enter_request, leave_request
from torngas_aio.handler import WebHandler
from torngas_aio.logger import current_request_id, level_of, request_id_of, request_summary
from torngas_aio.middleware.accesslog import AccessLogMiddleware
from torngas_aio.utils.text import quote_field

HOSTILE = [
    ("/a b", "/a\\x20b"),
    ("/\x85x", "/\\x85x"),
    ("/\xa0x\u3000", "/\\xa0x\\u3000"),
    ('/"x"', "/\\x22x\\x22"),
    ("/\\n\n\r\t\x1b[2J", "/\\x5cn\\n\\r\\t\\x1b[2J"),
    ("/\u202etxt", "/\\u202etxt"),
]


@pytest.mark.parametrize(("sent", "field"), [*HOSTILE, ("/plain?a=1&b=%20", "/plain?a=1&b=%20"), ("", "")])
def test_a_field_has_neither_space_nor_quotation_mark_nor_control(sent: str, field: str) -> None:
    assert quote_field(sent) == field


def _request(**changes: str) -> HTTPServerRequest:
    request = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders({"Host": "x"}))
    request.remote_ip = "192.0.2.1"
    for name, value in changes.items():
        setattr(request, name, value)
    return request


@pytest.mark.parametrize(("sent", "field"), HOSTILE)
def test_the_summary_of_a_request_has_three_fields(sent: str, field: str) -> None:
    assert request_summary(_request(uri=sent)) == f"GET {field} (192.0.2.1)"
    assert request_summary(_request(method=sent)) == f"{field} / (192.0.2.1)"
    assert request_summary(_request(remote_ip=sent)) == f"GET / ({field})"


@pytest.mark.parametrize("handler_class", [WebHandler, RequestHandler])
def test_tornado_s_line_and_the_access_log_s_are_quoted(
    handler_class: type[RequestHandler], caplog: pytest.LogCaptureFixture
) -> None:
    """Also for a remote address that a server in front has let through as it came."""
    request = _request(uri='/x HTTP/1.1" 200 1\n', remote_ip='fe80::1% - root "GET /')
    request.connection = _Connection()  # type: ignore[assignment]
    application = Application()
    handler = handler_class(application, request)
    with caplog.at_level(logging.INFO, "tornado.access"):
        application.log_request(handler)
    assert "/x\\x20HTTP/1.1\\x22\\x20200\\x201\\n (fe80::1%\\x20-\\x20root\\x20\\x22GET\\x20/)" in caplog.text
    line = AccessLogMiddleware().line(handler)
    assert line.startswith("fe80::1%\\x20-\\x20root\\x20\\x22GET\\x20/ - - [")
    assert '"GET /x\\x20HTTP/1.1\\"\\x20200\\x201\\n HTTP/1.1" 200' in line


class _Connection:
    def set_close_callback(self, callback: object) -> None:
        """Tornado's handlers register themselves."""


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, logging.INFO),
        (404, logging.WARNING),
        (428, logging.WARNING),
        (429, logging.INFO),
        (430, logging.WARNING),
        (500, logging.ERROR),
    ],
)
def test_the_level_of_a_status(status: int, level: int) -> None:
    assert level_of(status) == level


@pytest.mark.parametrize("sent", ["a", "7c3e-11", "Root=1-67891233-abcdef", "a.b:c/d+e=@f", "x" * 128])
def test_a_well_formed_id_is_taken_over(sent: str) -> None:
    assert request_id_of(request_with({"X-Request-ID": sent})) == sent


@pytest.mark.parametrize("sent", ["", " ", "a b", 'a"b', "a\tb", "x" * 129, "-a", "<b>", "ä", "a,b", "%0a", "'", "a;b"])
def test_any_other_is_replaced(sent: str) -> None:
    made = request_id_of(request_with({"X-Request-ID": sent}))
    assert len(made) == 16
    assert int(made, 16) >= 0


def test_an_id_is_made_once_and_for_one_request() -> None:
    one, other = request_with({}), request_with({})
    assert request_id_of(one) == request_id_of(one) != request_id_of(other)
    assert current_request_id() is None
    token = enter_request(one)
    assert current_request_id() == request_id_of(one)
    leave_request(token)
