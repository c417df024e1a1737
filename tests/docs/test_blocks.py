"""Blocks that are no Python programs: output is what is printed, configuration fits the server, commands exist."""

import ast
import configparser
import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http import HTTPStatus
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.docs.test_files_of_pages import ENVIRONMENT, run
from torngas_aio.cli import runserver
from torngas_aio.operations.handlers import HEALTH_DEFAULTS
from torngas_aio.operations.metrics import METRICS_DEFAULTS
from torngas_aio.webserver.stopping import GRACEFUL_SECONDS, SHUTDOWN_SECONDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "zh" not in page.relative_to(DOCS).parts]

_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_EXTRAS = re.compile(r"(?:torngas-aio|/torngas_aio)\[([\w,]+)\]")

FOREIGN = {
    "cd", "curl", "export", "git", "granian", "hypercorn", "kill", "ln", "mv", "pip", "py-spy", "pybabel", "pytest",
    "python3", "uvicorn", "wrk",
}  # fmt: skip
"""Programs of others that pages call."""


def block(page: str, holding: str) -> str:
    """The block of *page* in which *holding* stands, whatever its kind."""
    found = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    return next(str(text) for _, text in found if holding in text)


def others(page: Path) -> Iterator[str]:
    """The blocks of *page* that are not programs, diagrams or pages."""
    for kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind not in ("python", "diagram", "html"):
            yield text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    run("-m", "torngas_aio", "startproject", "mysite", folder=tmp_path)
    return tmp_path / "mysite"


def faults(folder: Path) -> list[str]:
    """The lines that `torngas-aio check` prints for the project in *folder*."""
    command = [sys.executable, "-m", "torngas_aio", "check"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    return done.stderr.splitlines()


# ------------------------------------------------------------------ output


def test_check_prints_the_faults_of_settings_as_shown(project: Path) -> None:
    cache = "{'BACKEND': 'torngas_aio.cache.backends.localcache.LocMemCache', 'OPTIONS': {'MAX_ENTRYS': 5}}"
    with (project / "settings" / "setting.py").open("a") as setting:
        setting.write(f"\nMIDDLEWARE_CLASES = ()\nCACHES = {{'default': {cache}}}\n")
    shown = block("guide/settings.md", "MAX_ENTRYS").splitlines()
    assert sorted(faults(project)[:-1]) == sorted(shown)


def test_check_prints_a_value_that_is_wrong_as_shown(project: Path) -> None:
    with (project / "settings" / "setting.py").open("a") as setting:
        setting.write("\nTHREADS_NUM = 0\n")
    assert faults(project) == block("reference/codes.md", "THREADS_NUM = 0").splitlines()[1:]


def test_check_prints_forgotten_awaits_as_shown(project: Path) -> None:
    source = """\
from torngas_aio import WebHandler
from torngas_aio.cache import cache
from torngas_aio.db.basedb import database

db = database(dbn="sqlite", db=":memory:")
key = "k"


class Page(WebHandler):
    async def get(self):
        # the first
        cache.get('k')

        # the second
        if key in cache:
            self.write("there")

        with db.transaction():
            self.write("written")
"""
    (project / "blog").mkdir()
    (project / "blog" / "handlers.py").write_text(source)
    assert faults(project)[:-1] == block("guide/awaits.md", "TGA710").splitlines()


def test_a_new_project_has_the_files_that_are_shown(project: Path) -> None:
    for line in block("getting-started.md", "runserver.py            starts").splitlines()[1:]:
        for name in re.findall(r"[\w/.]+", re.split(r"\s{2,}", line[4:])[0]):
            assert (project / name).exists(), name


def test_a_client_is_told_what_is_wrong_as_shown() -> None:
    """The answer to the guide's own program."""
    source = re.search(r"```python\n(.*?)asyncio.run", (DOCS / "guide/typed.md").read_text(encoding="utf-8"), re.DOTALL)
    assert source
    script = f"""{source[1]}
async def ask():
    async with TestClient(Application([(r"/projects/(\\d+)/tasks", Tasks)])) as client:
        print((await client.post("/projects/3/tasks", json={{"title": ""}})).text)
asyncio.run(ask())
"""
    shown = json.loads(block("guide/typed.md", "about:blank"))
    assert json.loads(run("-c", script, folder=ROOT)) == {
        **shown,
        "title": HTTPStatus(422).phrase,
    }  # Python 3.13 has another


def test_a_line_of_structlog_has_the_fields_that_are_shown(tmp_path: Path) -> None:
    pytest.importorskip("structlog")
    source = re.search(
        r"```python\n(import logging\n\nimport structlog.*?)```",
        (DOCS / "guide/logging.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert source
    script = f"""
from torngas_aio import settings
from torngas_aio.logger import init_logging
settings.configure(LOGGING_DIR="", LOGGING=(
    {{"name": "torngas_aio.infolog", "level": "INFO", "log_to_stderr": True, "formatter": "json"}},))
init_logging(None, settings)
{source[1]}
import logging
logging.shutdown()
"""
    command = [sys.executable, "-c", script]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    printed, shown = json.loads(done.stderr), json.loads(block("guide/logging.md", '"shop": '))
    assert list(printed) == list(shown)
    fixed = ("level", "logger", "message", "thread", "shop", "count")
    assert [printed[name] for name in fixed] == [shown[name] for name in fixed]


def test_ps_has_the_columns_that_are_shown() -> None:
    title = block("guide/deployment.md", "/srv/mysite/releases/43\n1 ").splitlines()[0]
    assert tuple(re.split(r"\s{2,}", title)) == tuple(re.split(r"\s{2,}", "  ".join(runserver.HEADER)))


# ------------------------------------------------------------------ configuration


def test_the_unit_that_is_shown_is_that_of_a_new_project(project: Path) -> None:
    shown, made = (configparser.RawConfigParser(strict=False) for _ in range(2))
    shown.read_string(block("guide/deployment.md", "[Service]"))
    made.read(project / "deploy" / "mysite.service")
    options = dict(shown["Service"])
    assert options.pop("execstart").split(" --")[0] == made["Service"]["ExecStart"].split(" --")[0]
    assert options.items() <= dict(made["Service"]).items()


def test_kubernetes_asks_the_health_checks_and_waits_long_enough() -> None:
    pod = yaml.safe_load(block("deploy/containers.md", "kind: Deployment"))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = container["ports"][0]["containerPort"]
    arguments = dict(word[2:].split("=") for word in container["args"] if word.startswith("--"))
    assert int(arguments["port"]) == port
    assert pod["terminationGracePeriodSeconds"] > int(arguments["drain_seconds"]) + GRACEFUL_SECONDS + SHUTDOWN_SECONDS
    for probe, check in (("startupProbe", "startup"), ("readinessProbe", "ready"), ("livenessProbe", "live")):
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (HEALTH_DEFAULTS[check], port)
    mounted = [volume["name"] for volume in pod["volumes"]]
    assert [mount["name"] for mount in container["volumeMounts"]] == mounted


def test_prometheus_and_haproxy_ask_for_the_paths_of_the_server() -> None:
    (scrape,) = yaml.safe_load(block("deploy/monitoring.md", "scrape_configs"))["scrape_configs"]
    assert scrape["metrics_path"] == METRICS_DEFAULTS["path"]
    asked = re.search(r"httpchk GET (\S+)", block("deploy/outages.md", "HAProxy"))
    assert asked
    assert asked[1] == HEALTH_DEFAULTS["ready"]


@pytest.mark.parametrize(
    ("page", "holding", "path"),
    [
        ("guide/settings.md", "[tool.torngas-aio]", "tool.torngas-aio.settings"),
        ("guide/testing.md", "[tool.pytest", "tool.pytest.ini_options.torngas_settings"),
        ("howto/commands.md", "[tool.torngas-aio.commands]", "tool.torngas-aio.commands.greet"),
        ("howto/commands.md", "entry-points", "project.entry-points.torngas_aio~commands.greet"),
    ],
)
def test_pyproject_blocks_are_toml(page: str, holding: str, path: str) -> None:
    found: Any = tomllib.loads(block(page, holding))
    for name in path.split("."):
        found = found[name.replace("~", ".")]
    assert re.fullmatch(r"[\w.:]+", found)


def test_babel_takes_its_mappings() -> None:
    frontend = pytest.importorskip("babel.messages.frontend")
    page = (DOCS / "guide/i18n.md").read_text(encoding="utf-8")
    mappings = [text for _, text in _BLOCK.findall(page) if "[python: **.py]" in text]
    assert len(mappings) == 2
    for mapping in mappings:
        methods, _ = frontend.parse_mapping_cfg(mapping.splitlines(keepends=True))
        assert ("**.py", "python") in methods


# ------------------------------------------------------------------ commands and fragments of programs


def commands(page: Path) -> Iterator[list[str]]:
    """The command lines of the blocks of *page*, in words; comments and what stands beside a command are left out."""
    for text in others(page):
        is_shell = re.match(r"(\$ |#!|export |pip |python3? |torngas-aio |uvicorn |ln |curl |wrk |pytest\n)", text)
        for line in text.splitlines() if is_shell else ():
            if line.startswith("$ ") or not text.startswith("$ "):  # the other lines of a console are output
                for part in line.removeprefix("$ ").split("&& "):
                    words = shlex.split(re.split(r"\s{3,}", part)[0], comments=True)
                    yield list(dropwhile(re.compile("[A-Z_]+=").match, words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_the_programs_that_a_page_calls_are_known(page: Path) -> None:
    for words in commands(page):
        if words and words[0] == "python":
            assert words[1] in ("runserver.py", "app.py", "-m")
        elif words:
            assert words[0] in {*FOREIGN, "torngas-aio", "."}, words


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_extras_that_a_page_names_exist(page: Path) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {name for names in _EXTRAS.findall(page.read_text(encoding="utf-8")) for name in names.split(",")}
    assert named <= set(known)


def test_a_crontab_line_is_a_command() -> None:
    line = block("howto/cron.md", "crontab").splitlines()[1]
    time, command = line.split("  ", 1)
    assert len(time.split()) == 5
    assert re.search(r"/torngas-aio run --settings=\S+ cron/report\.py \w+$", command)
    assert block("howto/cron.md", "Post.day").startswith("# cron/report.py\n")


_FRAGMENT = re.compile(r"^(from|import|class|def|async def|await|async with|\w+ = await) ", re.MULTILINE)
_NO_FRAGMENT = re.compile(
    r"^(const |\$ |pip |python |torngas-aio |ConfigError: |\{%|import torngas$)|\S {12,}(class|def|@)|\.py:\d+: ",
    re.MULTILINE,
)
PROGRAMS = [
    pytest.param(text, id=f"{page.relative_to(DOCS).as_posix()}-{number}")
    for page in PAGES
    for number, text in enumerate(others(page))
    if (_FRAGMENT.search(text) or page.match("reference/codes.md")) and not _NO_FRAGMENT.search(text)
]


@pytest.mark.parametrize("source", PROGRAMS)
def test_fragments_of_programs_parse_and_import_what_exists(source: str) -> None:
    tree = compile(source, "page", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("torngas_aio"):
            module = importlib.import_module(each.module or "")
            for alias in each.names:
                assert hasattr(module, alias.name), f"{each.module}.{alias.name}"


@pytest.mark.parametrize(
    ("page", "holding"), [("migration.md", "def logged(method):  "), ("migration/codes.md", "class Cart:  ")]
)
def test_both_columns_of_a_comparison_parse(page: str, holding: str) -> None:
    lines = block(page, holding).splitlines()
    start = lines[0].index(lines[0].split("  ")[0], 1)
    for column in ([line[:start] for line in lines], [line[start:] for line in lines]):
        compile("\n".join(column), page, "exec", ast.PyCF_ONLY_AST)


def test_what_a_user_app_refuses_is_told_as_shown() -> None:
    shown = block("reference/codes.md", "BASE_URL").strip().removeprefix("ConfigError: ")
    source = (ROOT / "torngas_aio/cli/templates/auth/__app__/urls.py").read_text(encoding="utf-8")
    raised = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Raise)]
    assert [ast.literal_eval(each.exc.args[0]) for each in raised if isinstance(each.exc, ast.Call)] == [shown]


def test_an_error_of_an_import_is_told_as_shown(project: Path) -> None:
    shown = block("reference/codes.md", "NameError").strip()
    source = "\n" * 16 + "class Index(WebHandlr):\n    pass\n"
    (project / "home" / "handlers" / "main_handler.py").write_text(source)
    assert shown in faults(project)[0]


def test_the_tool_ports_the_example_as_shown(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(block("migration.md", "from torngas.cache"))
    run("-m", "torngas_aio", "port", ".", "--write", folder=tmp_path)
    shown = block("migration.md", "users = await User.Q.filter_by")
    assert (tmp_path / "main.py").read_text() == shown.replace("await self.render", "self.render")  # it may be awaited
