"""One line a request, whatever the client sends."""

import asyncio
import json
import logging
import re
import shlex
from collections.abc import AsyncIterator

import pytest
from tornado.web import RequestHandler

from tests.polling import until
from torngas_aio.application import Application
from torngas_aio.context import Outcome
from torngas_aio.handler import WebHandler
from torngas_aio.logger import access_logger, current_request_id
from torngas_aio.middleware.accesslog import AccessLogMiddleware
from torngas_aio.operations.handlers import health_rules
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient

LINE = re.compile(
    r'(?P<ip>\S+) - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) '
    r'(?P<size>\d+|-) "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)" \d+\.\d\d (?P<id>\S+)'
)


class Main(WebHandler):
    async def get(self) -> None:
        self.write("hello")


class Identified(WebHandler):
    async def get(self) -> None:
        self.write(current_request_id() or "none")


class Fails(WebHandler):
    async def get(self) -> None:
        raise ValueError("on purpose")


class FailsLate(WebHandler):
    async def get(self) -> None:
        async def settle(outcome: Outcome) -> None:
            raise ValueError("as a commit may")

        self.scope.add("work", None, settle=settle)
        self.write("saved")


class Streams(WebHandler):
    async def get(self) -> None:
        for _ in range(3):
            self.write("part")
            await self.flush()


class Foreign(RequestHandler):
    def get(self) -> None:
        self.write("plain Tornado")


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, access_logger.name)
    return caplog


@pytest.fixture
async def client(lines: pytest.LogCaptureFixture) -> AsyncIterator[TestClient]:
    routes = [
        ("/", Main),
        ("/late", FailsLate),
        ("/id", Identified),
        ("/fails", Fails),
        ("/streams", Streams),
        ("/foreign", Foreign),
    ]
    async with TestClient(Application(routes, middlewares=[AccessLogMiddleware])) as made:
        yield made


def last(lines: pytest.LogCaptureFixture) -> re.Match[str]:
    found = [record.getMessage() for record in lines.records if record.name == access_logger.name]
    assert len(found) == 1, found
    match = LINE.fullmatch(found[0])
    assert match is not None, found[0]
    return match


async def test_the_size_of_an_error_is_that_of_its_page_or_left_out(
    client: TestClient, lines: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/fails")
    assert (answer.status_code, last(lines)["size"]) == (500, str(len(answer.content)))
    lines.clear()
    assert (await client.get("/late")).status_code == 500  # its page comes after the response hooks
    assert last(lines)["size"] == "-"


async def test_a_request_is_logged_with_status_size_and_headers(
    client: TestClient, lines: pytest.LogCaptureFixture
) -> None:
    await client.get("/?a=1", headers={"Referer": "http://x/", "User-Agent": "test/1"})
    found = last(lines)
    assert found["request"] == "GET /?a=1 HTTP/1.1"
    assert (found["ip"], found["status"], found["size"]) == ("127.0.0.1", "200", "5")
    assert (found["referer"], found["agent"]) == ("http://x/", "test/1")


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [("/", 200, "INFO"), ("/nothing", 404, "WARNING"), ("/fails", 500, "ERROR"), ("/foreign", 200, "INFO")],
)
async def test_errors_and_foreign_handlers_are_logged_too(
    client: TestClient, lines: pytest.LogCaptureFixture, path: str, status: int, level: str
) -> None:
    await client.get(path)
    assert last(lines)["status"] == str(status)
    assert [record.levelname for record in lines.records if record.name == access_logger.name] == [level]


async def test_a_stream_has_no_size_and_a_head_no_body(client: TestClient, lines: pytest.LogCaptureFixture) -> None:
    await client.get("/streams")
    assert last(lines)["size"] == "-"
    lines.clear()
    await client.head("/")
    assert last(lines)["size"] == "-"


async def test_the_id_is_in_the_line_the_answer_and_the_handler(
    client: TestClient, lines: pytest.LogCaptureFixture
) -> None:
    response = await client.get("/id", headers={"X-Request-ID": "abc-1"})
    assert response.text == response.headers["X-Request-ID"] == last(lines)["id"] == "abc-1"
    lines.clear()
    response = await client.get("/fails", headers={"X-Request-ID": "not well formed"})
    assert response.headers["X-Request-ID"] == last(lines)["id"] != "not well formed"


async def test_what_a_client_sends_stays_inside_its_quotes(client: TestClient, lines: pytest.LogCaptureFixture) -> None:
    agent = 'x" 200 0 "-" "\\" \x85[2J'
    await client.get('/?q="%0a', headers={b"User-Agent": agent.encode("latin-1")})
    found = last(lines)
    assert found["agent"] == 'x\\" 200 0 \\"-\\" \\"\\\\\\" \\x85[2J'
    assert "\n" not in found[0]


async def test_below_the_loggers_level_no_line_is_made(client: TestClient, lines: pytest.LogCaptureFixture) -> None:
    lines.set_level(logging.CRITICAL, access_logger.name)
    await client.get("/")
    assert lines.records == []


async def test_a_log_function_of_the_project_stays_in_charge_of_foreign_handlers(
    lines: pytest.LogCaptureFixture,
) -> None:
    logged: list[str] = []

    def log(handler: RequestHandler) -> None:
        logged.append(handler.request.path)

    application = Application([("/foreign", Foreign)], middlewares=[AccessLogMiddleware], log_function=log)
    async with TestClient(application) as client:
        await client.get("/foreign")
    assert logged == ["/foreign"]
    assert lines.records == []


class Named(WebHandler):
    async def get(self) -> None:
        self.current_user = "jane"
        self.write("named")

    head = get


FIELDS = {
    "method": "GET", "path": "/a b\"c=é\n", "status": 200, "bytes": 5, "client": "127.0.0.1", "user": "jane",
    "request_id": "id-1", "route": "named", "user_agent": 'x y="z"',
}  # fmt: skip


@pytest.mark.parametrize("form", ["json", "logfmt"])
async def test_lines_of_named_fields(lines: pytest.LogCaptureFixture, form: str) -> None:
    with settings.override(ACCESS_LOG=form):
        application = Application([("/(?s:.*)", Named, {}, "named")], middlewares=[AccessLogMiddleware])
        async with TestClient(application) as client:
            headers = {"X-Request-ID": "id-1", "User-Agent": 'x y="z"'}
            await client.get('/a b"c=%C3%A9%0A?token=secret', headers=headers)
            await client.request("HEAD", "/head")
    one, head = [record.getMessage() for record in lines.records if record.name == access_logger.name]
    assert one.isascii()
    assert one.isprintable()
    assert "secret" not in one
    if form == "json":
        found = json.loads(one)
    else:
        found = dict(each.split("=", 1) for each in shlex.split(one))
        assert re.fullmatch(r'(?:[a-z_]+=(?:[^ "=]+|"(?:[^"\\]|\\.)*") ?)+', one)
    wanted = {**FIELDS, "path": "/a%20b%22c=%C3%A9%0A"}
    if form == "logfmt":
        wanted = {name: str(value) for name, value in wanted.items()}
    assert {name: found[name] for name in wanted} == wanted
    assert float(found["milliseconds"]) >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    assert "bytes" not in head


async def test_foreign_handlers_and_unrouted_requests_have_fields_too(lines: pytest.LogCaptureFixture) -> None:
    with settings.override(ACCESS_LOG="json"):
        application = Application([("/foreign", Foreign)], middlewares=[AccessLogMiddleware])
        async with TestClient(application) as client:
            await client.get("/foreign")
            await client.get("/absent")
    found = [json.loads(record.getMessage()) for record in lines.records if record.name == access_logger.name]
    assert [(each["path"], each["status"], "route" in each) for each in found] == [
        ("/foreign", 200, False),
        ("/absent", 404, False),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_client_that_did_not_wait_is_499(lines: pytest.LogCaptureFixture, form: str) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    class Slow(WebHandler):
        async def get(self) -> None:
            entered.set()
            await left.wait()
            self.write("nobody reads this")

        def on_connection_close(self) -> None:
            left.set()

    with settings.override(ACCESS_LOG=form):
        async with TestClient(Application([("/", Slow)], middlewares=[AccessLogMiddleware])) as client:
            asking = asyncio.create_task(client.get("/"))
            await entered.wait()
            asking.cancel()
            await asyncio.wait([asking])
            await until(lambda: len(lines.records) > 0)
    (line,) = [record.getMessage() for record in lines.records if record.name == access_logger.name]
    assert (json.loads(line)["status"] == 499) if form == "json" else (" 499 " in line)


@pytest.mark.parametrize(("chosen", "paths"), [({}, ["/-/live", "/-/ready"]), ({"log": False}, ["/-/ready"])])
async def test_probes_that_are_answered_well_may_be_left_out(
    lines: pytest.LogCaptureFixture, chosen: dict[str, object], paths: list[str]
) -> None:
    with settings.override(ACCESS_LOG="json", HEALTH=chosen):
        application = Application(middlewares=[AccessLogMiddleware])
        application.wildcard_router.add_rules(health_rules())
        async with TestClient(application) as client:
            await client.get("/-/live")
            application.is_stopping.set()
            assert (await client.get("/-/ready")).status_code == 503
    found = [json.loads(record.getMessage()) for record in lines.records if record.name == access_logger.name]
    assert [each["path"] for each in found] == paths


async def test_a_line_of_the_projects_own_stays(lines: pytest.LogCaptureFixture) -> None:
    class Own(AccessLogMiddleware):
        def line(self, handler: RequestHandler) -> str:
            return "own"

    with settings.override(ACCESS_LOG="json"):
        async with TestClient(Application([("/", Main)], middlewares=[Own])) as client:
            await client.get("/")
    assert [record.getMessage() for record in lines.records if record.name == access_logger.name] == ["own"]
