"""Observers are told of requests and stages; without them the request path is as it was."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from tests.pipeline.conftest import door
from torngas_aio import Application
from torngas_aio.context import ORDER_SESSION, ORDER_TRANSACTION, scope_of
from torngas_aio.handler import ApiHandler, WebHandler, WebSocketHandler
from torngas_aio.middleware.base import BaseMiddleware
from torngas_aio.operations import observed
from torngas_aio.operations.observed import observe, observed_class
from torngas_aio.operations.observing import STAGES, Observation, Observer, Stage, current_observation
from torngas_aio.pipeline import Pipeline
from torngas_aio.testing import TestClient
from torngas_aio.urlhelper import Url

__all__ = ["door"]


class Recorder(Observer):
    def __init__(self, *, wants_hooks: bool = False) -> None:
        self.wants_hooks = wants_hooks
        self.stages: list[tuple[str, str]] = []
        self.own_seconds = 0.0
        self.started = 0
        self.ended: list[tuple[str, str, int, int, int]] = []
        self.done = asyncio.Event()

    def request_started(self, observation: Observation) -> bool:
        self.started += 1
        return True

    def stage_ended(self, observation: Observation, stage: Stage) -> None:
        assert stage.name in STAGES
        assert 0 <= stage.own_seconds <= stage.seconds
        assert stage.started >= observation.started
        self.own_seconds += stage.own_seconds
        self.stages.append((stage.name, stage.label))

    def request_ended(self, observation: Observation) -> None:
        assert self.own_seconds <= observation.seconds
        self.own_seconds = 0.0
        method = str(observation.request.method)
        sizes = observation.received_bytes, observation.sent_bytes
        self.ended.append((observation.route_name, method, observation.status, *sizes))
        self.done.set()

    async def whole(self, count: int = 1) -> list[tuple[str, str, int, int, int]]:
        while len(self.ended) < count:
            self.done.clear()
            await self.done.wait()
        return self.ended


class Every(BaseMiddleware):
    async def process_call(self, request: Any, clear: Any) -> None: ...
    async def process_request(self, handler: Any, clear: Any) -> None: ...
    async def process_render(self, handler: Any, clear: Any, template_name: str, **kwargs: Any) -> None: ...
    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None: ...
    async def process_endcall(self, handler: Any, clear: Any) -> None: ...
    async def process_exception(self, handler: Any, clear: Any, typ: Any, value: Any, tb: Any) -> None: ...


class Plain(WebHandler):
    def get(self) -> None:
        self.write("12345")

    head = get

    async def post(self) -> None:
        await asyncio.sleep(0)
        await self.finish(str(len(self.request.body)))


class Page(WebHandler):
    def get_template_path(self) -> str:
        return str(self.settings["pages"])

    async def get(self) -> None:
        self.render("page.html", name="x")

    async def post(self) -> None:
        self.write(await self.render_string("page.html", name="y"))


class Stores(WebHandler):
    async def get(self) -> None:
        async def settle(outcome: Any) -> None: ...

        scope_of(self.request).add("transaction", 1, order=ORDER_TRANSACTION, settle=settle)
        scope_of(self.request).add("session", 1, order=ORDER_SESSION, settle=settle)
        self.finish("kept")


class Fails(ApiHandler):
    async def get(self) -> None:
        raise ZeroDivisionError


class Streams(WebHandler):
    async def get(self) -> None:
        for _ in range(3):
            self.write("abc")
            await self.flush()


class Echo(WebSocketHandler):
    def on_message(self, message: Any) -> None:
        self.write_message(message)


URLS = [
    Url()("/plain", Plain, name="plain"),
    Url()(r"/unnamed/(?:\d+)", Plain),
    Url()("/page", Page, name="page"),
    Url()("/stores", Stores, name="stores"),
    Url()("/fails", Fails, name="fails"),
    Url()("/streams", Streams, name="streams"),
    Url()("/echo", Echo, name="echo"),
]
HOOKED = [("hooks", "call"), ("hooks", "request")]
ENDED = [("hooks", "response"), ("send", ""), ("hooks", "endcall")]


def made(recorder: Recorder, *middlewares: Any, **settings: Any) -> Application:
    application = Application(URLS, middlewares=middlewares, **settings)
    observe(application, [recorder])
    return application


@pytest.mark.parametrize(
    ("method", "path", "ended", "stages"),
    [
        ("GET", "/plain", ("plain", "GET", 200, 0, 5), [("method", ""), ("send", "")]),
        ("HEAD", "/plain", ("plain", "HEAD", 200, 0, 0), [("method", ""), ("send", "")]),
        ("POST", "/plain", ("plain", "POST", 200, 4, 1), [("send", ""), ("method", "")]),
        ("GET", "/unnamed/7", (r"/unnamed/(?:\d+)", "GET", 200, 0, 5), [("method", ""), ("send", "")]),
        ("GET", "/page", ("page", "GET", 200, 0, 7), [("render", "page.html"), ("send", ""), ("method", "")]),
        ("POST", "/page", ("page", "POST", 200, 4, 7), [("render", "page.html"), ("method", ""), ("send", "")]),
        ("GET", "/stores", ("stores", "GET", 200, 0, 4), [("method", ""), ("commit", ""), ("save", ""), ("send", "")]),
        ("GET", "/streams", ("streams", "GET", 200, 0, 9), [*[("send", "")] * 3, ("method", ""), ("send", "")]),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_observers_are_told_of_each_stage(
    door: str, method: str, path: str, ended: Any, stages: Any, tmp_path: Any
) -> None:
    (tmp_path / "page.html").write_text("Hello {{ name }}", encoding="utf-8")
    recorder = Recorder()
    async with TestClient(made(recorder, pages=tmp_path), http_server=door) as client:
        await client.request(method, path, content=b"four" if method == "POST" else None)
        assert (await recorder.whole())[0] == ended
    assert sorted(recorder.stages) == sorted(stages)


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("/plain", [*HOOKED, ("method", ""), *ENDED]),
        ("/page", [*HOOKED, ("method", ""), ("hooks", "render"), ("render", "page.html"), *ENDED]),
        ("/fails", [*HOOKED, ("method", ""), ("hooks", "exception"), *ENDED]),
        ("/absent", [*HOOKED, ("hooks", "exception"), ("render", "404.html"), ("render", "error.html"), *ENDED]),
    ],
)
async def test_hooks_are_a_stage_together_or_each_by_itself(path: str, stages: Any, tmp_path: Any) -> None:
    (tmp_path / "page.html").write_text("Hello {{ name }}", encoding="utf-8")
    together, apart = Recorder(), Recorder(wants_hooks=True)
    async with TestClient(made(together, Every, pages=tmp_path)) as client:
        await client.get(path)
        await together.whole()
    assert sorted(together.stages) == sorted(stages)
    async with TestClient(made(apart, Every, pages=tmp_path)) as client:
        await client.get(path)
        await apart.whole()
    name = f"{__name__}.Every.process_"
    each = [("hook", name + label) for stage, label in stages if stage == "hooks"]
    assert sorted(apart.stages) == sorted([*stages, *each])


async def test_several_observers_and_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def stage_ended(self, *args: Any) -> None:
            raise ZeroDivisionError

        def request_ended(self, *args: Any) -> None:
            raise LookupError

    class Uninterested(Recorder):
        def request_started(self, observation: Observation) -> bool:
            return False

    first, broken, uninterested = Recorder(), Broken(), Uninterested()
    application = made(first)
    observe(application, [broken, uninterested])
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
        assert (await client.get("/plain")).text == "12345"
        await first.whole(2)
    assert broken.started == 2
    assert not uninterested.stages
    assert caplog.text.count("this is said once") == 2


async def test_a_request_that_no_observer_wants_has_no_observation() -> None:
    seen: list[Any] = []

    class Uninterested(Observer):
        def request_started(self, observation: Observation) -> bool:
            return False

    class Looks(WebHandler):
        async def get(self) -> None:
            seen.append((current_observation(), type(self)))

    application = Application([("/", Looks)])
    observe(application, [Uninterested()])
    async with TestClient(application) as client:
        await client.get("/")
    assert seen == [(None, Looks)]


class Refuses(Observer):
    def wants(self, request: Any) -> bool:
        return False


class Breaks(Observer):
    def wants(self, request: Any) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize("observer", [Refuses, Breaks])
async def test_what_an_observer_does_not_want_is_not_observed_for_it(
    observer: type[Observer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made for such a request, and the other observers see it all the same."""
    other, alone = Recorder(), Application(URLS)
    both = made(other)
    observe(both, [observer()])
    async with TestClient(both) as client:
        assert (await client.get("/plain")).text == "12345"
        assert len(await other.whole()) == 1
    observe(alone, [observer()])
    monkeypatch.setattr(observed, "Observation", None)
    async with TestClient(alone) as client:
        assert (await client.get("/plain")).text == "12345"


async def test_an_application_made_to_be_observed_serves_before_it_is() -> None:
    recorder, application = Recorder(), observed_class(Application)(URLS)
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
    kind = type(application)
    observe(application, [recorder])
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
        assert len(await recorder.whole()) == 1
    assert type(application) is kind


async def test_tasks_of_a_request_know_its_observation() -> None:
    recorder, seen = Recorder(), []

    class Starts(WebHandler):
        async def get(self) -> None:
            seen.append(await asyncio.create_task(self.look()))

        async def look(self) -> Any:
            return current_observation()

    application = Application([("/", Starts, {}, "starts")])
    observe(application, [recorder])
    async with TestClient(application) as client:
        await client.get("/")
        await recorder.whole()
    assert seen[0].route_name == "starts"
    assert current_observation() is None


async def test_a_socket_is_a_request_until_it_closes(door: str) -> None:
    recorder = Recorder()
    async with TestClient(made(recorder), http_server=door) as client:
        async with client.websocket("/echo") as socket:
            await socket.send_text("x")
            assert await socket.receive_text() == "x"
            assert not recorder.ended
        assert (await recorder.whole())[0][:3] == ("echo", "GET", 101)


async def test_an_observed_handler_keeps_its_class_s_names_and_counts_no_subclass() -> None:
    made_classes: list[str] = []

    class Counting(WebHandler):
        def __init_subclass__(cls, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            made_classes.append(cls.__qualname__)

    class Names(Counting):
        async def get(self) -> None:
            self.finish(f"{type(self).__module__} {type(self).__name__} {isinstance(self, Names)}")

    application = Application([("/", Names)])
    observe(application, [Recorder()])
    async with TestClient(application) as client:
        assert (await client.get("/")).text == f"{__name__} Names True"
    assert len(made_classes) == 1


def test_off_is_as_if_it_were_not_there() -> None:
    """No module is imported, and neither application, handlers nor pipeline differ."""
    code = (
        "import sys; from torngas_aio.webserver import Server; from torngas_aio.settings_manager import settings;"
        "settings.configure(TORNADO_CONF={'cookie_secret': 'x1y2' * 10}); app = Server().load_application();"
        "from torngas_aio.application import Application; assert type(app) is Application;"
        "names = 'torngas_aio.operations.observ', 'prometheus_client', 'opentelemetry';"
        "print([m for m in sys.modules if m.startswith(names)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_observing_leaves_the_compiled_stages_as_they_are() -> None:
    plain, observed = Pipeline([Every]), made(Recorder(), Every).pipeline
    for stage in ("request", "render", "response", "endcall", "exception"):
        names = [[str(hook) for hook in each.unrouted.hooks[stage]] for each in (plain, observed)]
        assert names[0] == names[1]
        assert not any(hasattr(hook.call, "__wrapped__") for hook in observed.unrouted.hooks[stage])
