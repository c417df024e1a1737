"""Spans of requests, through OpenTelemetry's API.

    traceparent, or the ratio ── sampled ──► a server span, with child spans: stages, SQL statements, cache calls
                              └─ not ──────► traceparent is propagated; no spans are created

This module decides on sampling before it calls OpenTelemetry. The project chooses provider and exporter; without a
provider no request is sampled. A request runs in its own context, which its tasks, threads and background work copy:
their spans are children of its span.
"""

# pyright: reportPrivateUsage=false

import time
from collections.abc import Coroutine, Generator, Mapping
from contextlib import ExitStack, contextmanager
from math import log, log1p
from random import random
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from torngas_aio.application import Application
from torngas_aio.context import carriers
from torngas_aio.http.request import Request
from torngas_aio.logger import field_sources
from torngas_aio.operations.calls import Call, watched_calls
from torngas_aio.operations.observed import Observing, Serve, observe
from torngas_aio.operations.observing import KNOWN_METHODS, Observation, Observer, Stage, log_failure
from torngas_aio.settings_manager import settings

__all__ = ["TRACES_DEFAULTS", "Tracing", "add_traces", "trace_headers"]

TRACES_DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "ratio": 0.01,  # share of requests without `traceparent` to sample, 0 to 1
    "trust_parent": True,  # follow the sampled flag of `traceparent`; False if untrusted clients can send the header
}

MIN_SECONDS = 0.0001
"""Shortest stage that gets a span."""

_TRACEPARENT = b"traceparent"
_MAX_HEADER = 1024
_NANOSECONDS = 1_000_000_000
_FAR = 1e15  # requests

_tracer = trace.get_tracer("torngas_aio")
_w3c = TraceContextTextMapPropagator()


def add_traces(application: Application) -> None:
    """Trace the requests of *application*; call before it starts."""
    chosen = {**TRACES_DEFAULTS, **settings.TRACES}
    tracing = Tracing(chosen["ratio"], trusts_parent=chosen["trust_parent"])
    observe(application, []).sample(tracing.sampling)
    application.lifespan.add("traces", tracing.open, tracing.close)


def trace_headers() -> dict[str, str]:
    """Return headers that propagate the current trace to another service; {} without a trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


class Tracing(Observer):
    """The observer that creates the spans of one application.

    Args:
        ratio: Share of requests without a parent to sample, 0 to 1.
        trusts_parent: Whether to follow the parent's decision for requests with one; else *ratio* applies.
    """

    def __init__(self, ratio: float, *, trusts_parent: bool = True) -> None:
        self._ratio = ratio
        self._trusts_parent = trusts_parent
        self._opened = ExitStack()
        self._parent: Context | None = None  # of the sampled request that starts

    async def open(self) -> None:
        """Start to listen to calls and to add trace ids to log lines."""
        self._opened.enter_context(watched_calls(_call_ended))
        field_sources.append(_ids)
        self._opened.callback(field_sources.remove, _ids)
        carriers.append(_CARRIER)
        self._opened.callback(carriers.remove, _CARRIER)

    async def close(self) -> None:
        """Undo `open`."""
        self._opened.close()

    def sampling(self, observing: Observing) -> Serve:
        """Return a function that serves requests by *observing*, and the sampled ones with this observer."""
        observe_all, serve_plain, always = observing.serve, observing.serve_plain, observing.observers
        left = _draw_distance(self._ratio)

        def serve(request: Request, *more: Observer) -> Coroutine[Any, Any, None]:
            # PERF: a closure, and the only call for a request that is not sampled: -0.7 us a request
            nonlocal left
            left -= 1
            raw = request._raw_headers
            if left and type(raw) is bytes and raw.lower().find(_TRACEPARENT) < 0:
                return observe_all(request, *more) if more or always else serve_plain(request)
            if self._samples(request, is_drawn=not left):
                more = *more, self
            left = left or _draw_distance(self._ratio)
            return observe_all(request, *more)

        return serve

    def _samples(self, request: Request, is_drawn: bool) -> bool:
        """Return whether to sample *request*; *is_drawn* decides if it has no parent to follow."""
        try:
            parent, is_sampled = _parent_of(request), is_drawn
            if parent is not None and self._trusts_parent:
                is_sampled = trace.get_current_span(parent).get_span_context().trace_flags.sampled
            if is_sampled and not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                self._parent = parent
                return True
            if parent is not None:
                attach(parent if is_sampled else _unsampled(parent))
        except Exception:  # noqa: BLE001  a boundary: traces must not fail a request
            log_failure(self)
        return False

    def request_started(self, observation: Observation) -> bool:
        method, started = _known_method(observation.request), int(observation.started_at * _NANOSECONDS)
        span = _tracer.start_span(method, self._parent, trace.SpanKind.SERVER, start_time=started)
        observation.notes[self] = span
        attach(trace.set_span_in_context(span, self._parent))
        return span.is_recording()  # else the provider's own sampler drops the trace

    def stage_ended(self, observation: Observation, stage: Stage) -> None:
        if stage.seconds >= MIN_SECONDS and stage.name != "hook":
            name = f"{stage.name} {stage.label}" if stage.label else stage.name
            span = trace.set_span_in_context(observation.notes[self])
            _add_span(name, span, trace.SpanKind.INTERNAL, (stage.started, stage.seconds))

    def request_ended(self, observation: Observation) -> None:
        span, request, status = observation.notes[self], observation.request, observation.status
        method, route = _known_method(request), observation.route_name
        span.update_name(f"{method} {route}" if route else method)
        span.set_attributes({
            "http.request.method": method, "http.response.status_code": status, "url.path": request.path,
            "url.scheme": request.protocol, "client.address": request.remote_ip or "",
            "user_agent.original": (request.raw_header(b"user-agent") or b"").decode("latin-1"),
            "http.request.body.size": observation.received_bytes, "http.response.body.size": observation.sent_bytes,
            **({"http.route": route} if route else {}),
        })  # fmt: skip
        error = getattr(observation.handler, "_error", None)
        if status >= 500 or not status:
            if error is not None:
                span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR)
        span.end(int((observation.started_at + observation.seconds) * _NANOSECONDS))


def _draw_distance(ratio: float) -> int:
    """Return a random number n so that every n-th request, drawn each time, makes the share *ratio*; 0 for never.

    Each request is sampled with the probability *ratio*, independently of others, but without a number drawn for it.
    """
    if not 0 < ratio < 1:
        return int(ratio >= 1)
    return 1 + int(min(log(1.0 - random()) / log1p(-ratio), _FAR))  # noqa: S311  a share, not a secret


def _parent_of(request: Request) -> Context | None:
    """Return the trace context in the request's headers; None without a valid one."""
    sent = request.raw_header(_TRACEPARENT)
    if sent is None:
        return None
    # SPEC: W3C Trace Context 3.3: it may come in several fields; dropping it does not affect traceparent
    state = request.headers.get("tracestate", "") if request.may_mention(b"tracestate") else ""
    if len(state) > _MAX_HEADER:
        state = ""
    if len(sent) > _MAX_HEADER:
        return None
    carrier = {"traceparent": sent.decode("latin-1"), "tracestate": state}
    found = _w3c.extract(carrier, Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def _unsampled(parent: Context) -> Context:
    """Return *parent* with the sampled flag cleared."""
    span = trace.get_current_span(parent).get_span_context()
    flags = trace.TraceFlags(trace.TraceFlags.DEFAULT)
    kept = trace.SpanContext(
        span.trace_id, span.span_id, is_remote=True, trace_flags=flags, trace_state=span.trace_state
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(kept), parent)


@contextmanager
def _job_span(sent: Mapping[str, Any], name: str) -> Generator[None]:
    """Run a job in the trace that enqueued it; if that trace is sampled, in its own span."""
    parent = propagate.extract({key: str(value) for key, value in sent.items()})
    if trace.get_current_span(parent).get_span_context().trace_flags.sampled:
        with _tracer.start_as_current_span(f"job {name}", parent, trace.SpanKind.CONSUMER):
            yield
    else:
        attach(parent)
        yield


_CARRIER = propagate.inject, _job_span


def _known_method(request: Request) -> str:
    return str(request.method) if request.method in KNOWN_METHODS else "_OTHER"


def _call_ended(call: Call) -> None:
    if not trace.get_current_span().get_span_context().trace_flags.sampled:
        return
    attributes: dict[str, Any]
    if call.kind == "cache":  # without the key, which may identify a visitor
        name = f"cache {call.operation}"
        attributes = {"cache.alias": call.target, "cache.hits": call.hits, "cache.misses": call.misses}
    else:
        name = call.operation or "SQL"
        attributes = {
            "db.namespace": call.target, "db.operation.name": call.operation, "db.query.text": call.text,
            "server.address": call.server, "db.role": call.role,
        }  # fmt: skip
    _add_span(name, None, trace.SpanKind.CLIENT, (call.started, call.seconds), attributes, call.error)


def _add_span(  # noqa: PLR0917
    name: str,
    parent: Context | None,
    kind: trace.SpanKind,
    taken: tuple[float, float],
    attributes: dict[str, Any] | None = None,
    error: BaseException | None = None,
) -> None:
    """Create a span for work that has ended.

    Args:
        parent: The context with the parent span; None: the current one.
        taken: Start, as `time.perf_counter()`, and duration in seconds.
    """
    started, seconds = taken
    ended_at = time.time() - (time.perf_counter() - started - seconds)
    start_time = int((ended_at - seconds) * _NANOSECONDS)
    span = _tracer.start_span(name, parent, kind, attributes, start_time=start_time)
    if error is not None:
        span.record_exception(error)
        span.set_status(trace.StatusCode.ERROR)
    span.end(int(ended_at * _NANOSECONDS))


def _ids() -> dict[str, str]:
    """Return the trace and span ids for a log line."""
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(found.trace_id), "span_id": trace.format_span_id(found.span_id)}
