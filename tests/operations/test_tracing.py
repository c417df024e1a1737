"""Spans of sampled requests; what is not sampled only hands its `traceparent` on."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tests.operations.observers import Every
from torngas_aio import Application
from torngas_aio.cache import caches
from torngas_aio.decorators.async_execute import async_execute
from torngas_aio.handler import WebHandler
from torngas_aio.jobs import job
from torngas_aio.logger import JsonFormatter, line_fields
from torngas_aio.operations import observed, tracing
from torngas_aio.operations.metrics import add_metrics
from torngas_aio.operations.observing import current_observation
from torngas_aio.operations.tracing import add_traces, trace_headers
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient
from torngas_aio.testing.jobs import RecordedJobs

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
LOCAL = {"BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache", "LOCATION": "traces"}


@pytest.fixture(autouse=True)
def everything_took_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MIN_SECONDS", 0.0)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("tests"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    with settings.override(CACHES={"here": LOCAL}):
        yield exporter
    provider.shutdown()


class Looks(WebHandler):
    async def get(self) -> None:
        self.write({"is_observed": current_observation() is not None, "headers": trace_headers()})


@async_execute
def in_a_thread() -> dict[str, str]:
    return line_fields()


class Works(WebHandler):
    async def get(self) -> None:
        await caches["here"].get("absent")
        self.write({
            "headers": trace_headers(),
            "line": line_fields(),
            "task": await asyncio.create_task(self.fields()),
            "thread": await in_a_thread(),
            "background": await self.in_the_background(),
        })  # fmt: skip

    async def fields(self) -> dict[str, str]:
        return line_fields()

    async def in_the_background(self) -> dict[str, str]:
        found: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def tell() -> None:
            found.set_result(line_fields())

        self.application.background.start_soon(tell)  # type: ignore[attr-defined]  # ours
        return await found


class Fails(WebHandler):
    async def get(self) -> None:
        raise ZeroDivisionError("on purpose")


def made(ratio: float = 0.0, *middlewares: Any, trust_parent: bool = True) -> Application:
    routes: list[Any] = [("/works/(?:.*)", Works, {}, "works"), ("/fails", Fails, {}, "fails")]
    application = Application(routes, middlewares=middlewares)
    with settings.override(TRACES={"ratio": ratio, "trust_parent": trust_parent}):
        add_traces(application)
    return application


def server_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    (found,) = [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.SERVER]
    return found


async def test_a_sampled_request_is_a_span_with_its_stages_and_calls_below(exporter: InMemorySpanExporter) -> None:
    async with TestClient(made(0.0, Every)) as client:
        answer = await client.get("/works/x?secret=1", headers={"traceparent": SAMPLED, "tracestate": "a=1"})
    span = server_span(exporter)
    assert span.name == "GET works"
    assert span.parent is not None
    assert trace.format_span_id(span.parent.span_id) == PARENT
    attributes = dict(span.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["http.route"] == "works"
    assert attributes["url.path"] == "/works/x"
    assert "secret" not in str(attributes)
    children = [each for each in exporter.get_finished_spans() if each is not span]
    assert {"hooks call", "hooks request", "method", "hooks response", "send", "hooks endcall"} <= {
        each.name for each in children
    }
    assert [dict(each.attributes or {})["cache.misses"] for each in children if each.name == "cache get"] == [1]
    for each in children:
        assert each.parent is not None
        assert each.parent.span_id == span.context.span_id
        assert span.start_time is not None
        assert each.start_time is not None
        assert each.end_time is not None
        assert each.start_time >= span.start_time - 2_000_000
        assert each.end_time >= each.start_time
    ids = {"trace_id": TRACE, "span_id": trace.format_span_id(span.context.span_id)}
    told = answer.json()
    assert told["line"] == told["task"] == told["thread"] == told["background"] == ids
    assert told["headers"] == {"traceparent": f"00-{TRACE}-{ids['span_id']}-01", "tracestate": "a=1"}


async def test_an_unsampled_request_hands_its_parent_on_and_calls_no_sdk(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_tracer", None)
    async with TestClient(made(1.0)) as client:
        told = (await client.get("/works/x", headers={"traceparent": UNSAMPLED, "tracestate": "a=1"})).json()
    assert told["headers"] == {"traceparent": UNSAMPLED, "tracestate": "a=1"}
    assert told["line"] == {"trace_id": TRACE, "span_id": PARENT}


async def test_what_is_not_sampled_is_served_without_observers(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "Observation", None)
    async with TestClient(made(0.0)) as client:
        told = (await client.get("/works/x")).json()
    assert told["headers"] == told["line"] == {}
    assert not exporter.get_finished_spans()


async def test_a_failure_to_read_the_parent_fails_no_request(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_parent_of", None)
    async with TestClient(made(1.0)) as client:
        assert (await client.get("/works/x", headers={"traceparent": SAMPLED})).status_code == 200
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize("ratio", [1e-320, 0.01, 0.5, 0.999])
def test_distances_between_sampled_requests_make_the_ratio(ratio: float) -> None:
    drawn = [tracing._draw_distance(ratio) for _ in range(10_000)]
    assert min(drawn) >= 1
    assert sum(drawn) * ratio == pytest.approx(len(drawn), rel=0.06) or ratio < 1e-9
    assert len(set(drawn)) > 1 or ratio < 1e-9


def test_all_or_none_is_sampled_at_the_ends() -> None:
    assert [tracing._draw_distance(ratio) for ratio in (0.0, 1.0)] == [0, 1]


async def test_with_metrics_a_request_is_counted_and_traced(exporter: InMemorySpanExporter) -> None:
    for is_first in (True, False):
        exporter.clear()
        application = Application([("/", Looks)])
        if is_first:
            counts = add_metrics(application)
        with settings.override(TRACES={"ratio": 1.0}):
            add_traces(application)
        if not is_first:
            counts = add_metrics(application)
        async with TestClient(application) as client:
            await client.get("/")
            await client.get("/")
        assert counts.peek()["requests"] == {"/": {"GET 2xx": 2}}
        assert counts.peek()["stages"]
        assert len([each for each in exporter.get_finished_spans() if each.kind is trace.SpanKind.SERVER]) == 2


async def test_a_tracestate_in_several_fields_is_handed_on_whole(exporter: InMemorySpanExporter) -> None:
    fields = [("traceparent", UNSAMPLED), ("tracestate", "a=1"), ("tracestate", "b=2")]
    async with TestClient(made()) as client:
        told = (await client.get("/works/x", headers=fields)).json()
    assert told["headers"] == {"traceparent": UNSAMPLED, "tracestate": "a=1,b=2"}


@pytest.mark.parametrize("state", ["a=" + "x" * 2000, "no pairs", ",".join(f"k{each}=v" for each in range(40))])
async def test_a_tracestate_that_cannot_be_taken_leaves_the_trace_as_it_is(
    exporter: InMemorySpanExporter, state: str
) -> None:
    async with TestClient(made()) as client:
        told = (await client.get("/works/x", headers={"traceparent": UNSAMPLED, "tracestate": state})).json()
        assert told["headers"] == {"traceparent": UNSAMPLED}
        told = (await client.get("/works/x", headers={"traceparent": SAMPLED, "tracestate": state})).json()
    assert told["line"]["trace_id"] == TRACE
    assert len(exporter.get_finished_spans()) > 1


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 1)])
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "junk",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-" + "x" * 2000,
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}\u00e9-{PARENT}-01",
    ],
)
async def test_without_a_parent_that_can_be_read_the_ratio_decides(
    exporter: InMemorySpanExporter, header: str | None, ratio: float, spans: int
) -> None:
    async with TestClient(made(ratio)) as client:
        headers = [] if header is None else [(b"traceparent", header.encode("latin-1"))]
        assert (await client.get("/works/x", headers=headers)).status_code == 200
    found = [span for span in exporter.get_finished_spans() if span.kind is trace.SpanKind.SERVER]
    assert len(found) == spans
    assert all(span.parent is None for span in found)


@pytest.mark.parametrize("name", [b"traceparent", b"Traceparent", b"TRACEPARENT"])
async def test_the_name_of_the_header_is_found_in_any_case(exporter: InMemorySpanExporter, name: bytes) -> None:
    async with TestClient(made(0.0)) as client:
        await client.get("/works/x", headers=[(name, SAMPLED.encode())])
    parent = server_span(exporter).parent
    assert parent is not None
    assert trace.format_span_id(parent.span_id) == PARENT


async def test_a_stranger_cannot_have_requests_sampled_where_parents_are_not_trusted(
    exporter: InMemorySpanExporter,
) -> None:
    async with TestClient(made(0.0, trust_parent=False)) as client:
        told = (await client.get("/works/x", headers={"traceparent": SAMPLED})).json()
    assert told["headers"] == {"traceparent": UNSAMPLED}
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize(("path", "status", "name"), [("/fails", 500, "GET fails"), ("/absent", 404, "GET")])
async def test_errors_are_in_the_span(exporter: InMemorySpanExporter, path: str, status: int, name: str) -> None:
    async with TestClient(made(1.0)) as client:
        assert (await client.get(path)).status_code == status
    span = server_span(exporter)
    assert span.name == name
    assert span.status.is_ok is (status < 500) or span.status.status_code is trace.StatusCode.UNSET
    assert [event.name for event in span.events] == (["exception"] if status == 500 else [])


async def test_log_lines_of_a_traced_request_carry_its_ids(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    formatted: list[str] = []

    class Logs(WebHandler):
        async def get(self) -> None:
            record = logging.makeLogRecord({"name": "x", "msg": "here"})
            formatted.append(JsonFormatter().format(record))

    application = Application([("/", Logs)])
    with settings.override(TRACES={"ratio": 1.0}):
        add_traces(application)
    async with TestClient(application) as client:
        await client.get("/")
    assert json.loads(formatted[0])["trace_id"] == trace.format_trace_id(server_span(exporter).context.trace_id)
    assert line_fields() == {}


@pytest.mark.parametrize(("sent", "names"), [(SAMPLED, ["GET /", "job traced"]), (UNSAMPLED, [])])
async def test_a_job_goes_on_with_the_trace_of_what_enqueued_it(
    exporter: InMemorySpanExporter, job_queue: RecordedJobs, sent: str, names: list[str]
) -> None:
    seen: list[dict[str, str]] = []

    @job(name="traced")
    async def traced() -> None:
        seen.append(trace_headers())

    class Page(WebHandler):
        async def get(self) -> None:
            await traced.enqueue()

    application = Application([(r"/", Page)])
    add_traces(application)
    async with TestClient(application) as client:
        await client.get("/", headers={"traceparent": sent})
        await job_queue.run()
    assert [headers["traceparent"].split("-")[1] for headers in seen] == [TRACE]
    found = exporter.get_finished_spans()
    assert [span.name for span in found if span.kind != trace.SpanKind.INTERNAL] == names
    if found:
        assert found[-1].parent is not None


@pytest.mark.parametrize("sent", [SAMPLED, UNSAMPLED, None])
async def test_without_a_provider_a_parent_is_handed_on_and_nothing_observed(
    sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    application = Application([("/", Looks)])
    with settings.override(TRACES={"ratio": 1.0}):
        add_traces(application)
    async with TestClient(application) as client:
        found = (await client.get("/", headers={"traceparent": sent} if sent else {})).json()
    assert found == {"is_observed": False, "headers": {"traceparent": sent} if sent else {}}


async def test_what_the_provider_does_not_record_is_not_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("tests"))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    application = Application([("/", Looks)])
    with settings.override(TRACES={"enabled": True, "ratio": 1.0}):
        add_traces(application)
    async with TestClient(application) as client:
        found = (await client.get("/")).json()
    assert found["is_observed"] is False
    assert int(found["headers"]["traceparent"][-2:], 16) & 1 == 0
