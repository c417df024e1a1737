"""Observed applications and handlers: the stages they tell of, on each server; without observers nothing differs."""

import subprocess
import sys
from typing import Any

import pytest

from tests.operations.observers import ENDED, HOOKED, URLS, Every, Recorder, made
from tests.pipeline.conftest import door
from torngas_aio import Application
from torngas_aio.handler import WebHandler
from torngas_aio.operations.observed import observe
from torngas_aio.pipeline import Pipeline
from torngas_aio.testing import TestClient

__all__ = ["door"]


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
    name = f"{Every.__module__}.Every.process_"
    each = [("hook", name + label) for stage, label in stages if stage == "hooks"]
    assert sorted(apart.stages) == sorted([*stages, *each])


async def test_an_application_is_observed_whose_requests_were_served_before() -> None:
    recorder, application = Recorder(), Application(URLS)
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
    kind = type(application)
    observe(application, [recorder])
    async with TestClient(application) as client:
        assert (await client.get("/plain")).text == "12345"
        assert len(await recorder.whole()) == 1
    assert type(application) is kind


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
        "assert 'serve_request' not in vars(app);"
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
    assert not any(hasattr(call, "__wrapped__") for call in observed.call)
