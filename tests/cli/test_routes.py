"""`routes` and `pipeline` tell what is there."""

from pathlib import Path

import pytest

from tests.cli.conftest import WATCH, edit
from torngas_aio.cli import main

Capture = pytest.CaptureFixture[str]


class TestRoutes:
    def test_each_route_is_a_line(self, many: Path, capsys: Capture) -> None:
        """Pattern, name, handler, hooks a stage, modules; in the order of declaration."""
        assert main(["routes"]) == 0
        lines = capsys.readouterr().out.splitlines()
        by_name = {name: next(line for line in lines if f" {name} " in line) for name in (
            "index", "thing-one", "thing-all", "plain", "open")}  # fmt: skip
        assert list(by_name.values()) == [line for line in lines if "home.urls" in line]
        assert "/things/([0-9]+)" in by_name["thing-one"]
        assert "home.urls.Ours" in by_name["thing-one"]
        assert by_name["thing-one"].endswith("NoStoreModule")
        assert "call:1 request:1 render:1 response:2 endcall:1 exception:1" in by_name["thing-one"]
        assert by_name["thing-all"].endswith(" -")

    def test_slow_and_foreign_ones_are_marked(self, many: Path, capsys: Capture) -> None:
        """With what the marks mean."""
        assert main(["routes"]) == 0
        out = capsys.readouterr().out
        marked = {
            line.split()[2]: line.split()[0] for line in out.splitlines() if line[:1] in "*!" and "home.urls" in line
        }
        assert marked == {"open": "*", "plain": "!"}
        assert "* no literal opening: tried one after the other" in out
        assert "! a plain Tornado handler: it gets the call hooks only" in out
        plain = next(line for line in out.splitlines() if line.startswith("!  /plain"))
        assert plain.split()[4:] == ["call:1", "-"]


class TestPipeline:
    def test_hooks_come_in_the_order_they_run(self, many: Path, capsys: Capture) -> None:
        """Stage by stage, each with file and line; modules stand where their middleware does."""
        assert main(["pipeline", "/things/7"]) == 0
        lines = capsys.readouterr().out.splitlines()
        stages = [line.split()[0] for line in lines[1:] if not line.startswith(" ")]
        assert stages == ["init", "call", "route", "request", "handler", "render", "response", "endcall", "exception",
                          "shutdown"]  # fmt: skip
        start = lines.index("response")
        assert [line.split()[1:] for line in lines[start + 1 : start + 3]] == [
            ["httpmodules.nostore.NoStoreModule.begin_response", "httpmodules/nostore.py:12"],
            ["middlewares.timing.TimingMiddleware.process_response", "middlewares/timing.py:12"],
        ]
        assert "  1. middlewares.watch.Watch.process_call  middlewares/watch.py:4" in lines
        assert "handler    home.urls.Ours  home/urls.py:9" in lines

    def test_a_name_is_as_good_as_a_path(self, many: Path, capsys: Capture) -> None:
        """The same lines; a query string is no part of the path."""
        assert main(["pipeline", "thing-one"]) == 0
        by_name = capsys.readouterr().out
        assert main(["pipeline", "/things/1?page=2"]) == 0
        assert capsys.readouterr().out == by_name

    def test_the_request_stage_is_shown_in_its_halves(self, many: Path, capsys: Capture) -> None:
        """What runs before the body stands first, in a list of its own."""
        (many / "middlewares/early.py").write_text(WATCH.replace("Watch:", "Early:\n    before_body = True"))
        edit(many / "settings/setting.py", '"middlewares.timing', '"middlewares.early.Early",\n    "middlewares.timing')
        assert main(["pipeline", "/things/1"]) == 0
        shown = capsys.readouterr().out
        first, then = (
            shown.index("request    (before the body is read)"),
            shown.index("request    (once the body is read)"),
        )
        assert first < shown.index("Early.process_request") < then < shown.index("Watch.process_request")

    def test_what_has_no_route_or_no_pipeline_says_so(self, many: Path, capsys: Capture) -> None:
        """A 404 runs the middlewares, a plain Tornado handler the call hooks only."""
        assert main(["pipeline", "/NOWHERE"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("/NOWHERE: no route, answered 404")
        assert "process_endcall" in out
        assert main(["pipeline", "/plain"]) == 0
        out = capsys.readouterr().out
        assert "a plain Tornado handler, which gets the call hooks only" in out
        assert "process_call" in out
        assert "process_endcall" not in out

    def test_an_unknown_name_is_refused(self, many: Path, capsys: Capture) -> None:
        """The known ones are named."""
        assert main(["pipeline", "thing"]) == 1
        assert "No route is named 'thing'. Known are all, index" not in capsys.readouterr().err
        assert main(["pipeline", "nothing"]) == 1
        assert "Known are index, open, plain, thing-all, thing-one; a path starts with '/'." in capsys.readouterr().err
