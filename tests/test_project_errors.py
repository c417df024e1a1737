"""Errors of the project's own code: its line comes first, one origin is told once."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from torngas_aio._names import import_object
from torngas_aio._project_errors import headline, import_fault, install_hint, place_of, report
from torngas_aio.cli import main
from torngas_aio.exception import ConfigError, Fault, UrlError
from torngas_aio.urlhelper import load_app_urls

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of a project, which is the current directory and on `sys.path`."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def caught(path: str) -> Exception:
    try:
        import_object(path)
    except Exception as exc:  # noqa: BLE001  a project may raise anything
        return exc
    raise AssertionError(f"{path} can be imported")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nclass A(Missing): pass\n", "faulty.py:2: NameError: name 'Missing' is not defined"),
        ("def get(self)\n    pass\n", "faulty.py:1: SyntaxError: expected ':'"),
        ("\n\nimport json\njson.loads('{')\n", "faulty.py:4: JSONDecodeError: Expecting property name"),
        ("import faulty_too\n", "faulty.py:1: ModuleNotFoundError: No module named 'faulty_too'"),
        ("raise KeyError\n", "faulty.py:1: KeyError"),
        ("import sys\nsys.exit()\n", "faulty.py:2: RuntimeError: sys.exit() was called."),
        ("raise SystemExit('no licence')\n", "faulty.py:1: RuntimeError: sys.exit('no licence') was called."),
        ("def stop():\n    exit(3)\nstop()\n", "faulty.py:2: RuntimeError: sys.exit(3) was called."),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--x'])\n", "faulty.py:2: RuntimeError: sys.exit(2)"),
        (
            "from torngas_aio import include\nurls = include('/a$', [('/b', None)])\n",
            "faulty.py:2: UrlError: faulty.py:2: include('/a$'",
        ),
    ],
)
def test_the_projects_line_comes_first(write: Write, text: str, told: str) -> None:
    """Of any error: also of one that a library raised, whose last project frame counts."""
    write("faulty.py", text)
    assert headline(caught("faulty.X")).startswith(told)


def test_a_circular_import_names_the_line_that_asked(write: Write) -> None:
    write("one.py", "from two import b\na = 1\n")
    write("two.py", "\nfrom one import a\nb = 2\n")
    error = caught("one.a")
    assert headline(error).startswith("two.py:2: ImportError: cannot import name 'a' from partially initialized module")


def test_a_report_leaves_out_frames_of_ours_and_of_imports(write: Write) -> None:
    write("faulty.py", "def inner():\n    1 / 0\ninner()\n")
    told = report(caught("faulty.X"))
    assert told.startswith("faulty.py:2: ZeroDivisionError: division by zero\nTraceback (most recent call last):\n")
    assert "import_module" not in told
    assert "importlib" not in told
    assert told.count("faulty.py") == 3


def test_an_error_without_project_code_has_no_place() -> None:
    assert place_of(ValueError("x")) == ""
    assert headline(ValueError("x")) == "ValueError: x"


@pytest.mark.parametrize(
    ("library", "mend"),
    [
        ("redis.asyncio", "Install it with `pip install 'torngas-aio[redis]'`."),
        ("msgspec", "Install it with `pip install 'torngas-aio[msgpack]'`."),
        ("requests", "Write its name right, or install it: `pip install requests`."),
        ("home.handlers.x", ""),
    ],
)
def test_a_missing_library_is_told_with_what_installs_it(library: str, mend: str) -> None:
    error = ModuleNotFoundError(f"No module named {library!r}", name=library)
    assert install_hint(error, "home.handlers") == mend


def test_faults_of_one_origin_are_listed_once(write: Write) -> None:
    """Other faults stay, and the order."""
    first = Fault("a needs redis", cause="missing redis")
    error = ConfigError("x", first, "y", Fault("b needs redis", cause="missing redis"), "x")
    assert error.faults == ("x", "a needs redis", "y")
    assert str(error).splitlines() == ["3 faults:", "  1. x", "  2. a needs redis", "  3. y"]


def test_one_broken_module_and_one_missing_library_are_two_faults(write: Write) -> None:
    """However many routes, apps and modules want them."""
    write("shop/__init__.py", "")
    write("shop/broken.py", "1 / 0\n")
    write("shop/needy.py", "import no_such_library_at_all\n")
    write(
        "shop/urls.py",
        "from torngas_aio.urlhelper import *\nu = Url('shop')\n"
        "urls = route(u('/a', 'broken.A'), u('/b', 'broken.B'), u('/c', 'needy.A'), u('/d', 'needy.B'),"
        " u('/e', 'absent.A'))",
    )
    write("news/urls.py", "import no_such_library_at_all\n")
    with pytest.raises(UrlError) as told:
        load_app_urls(["shop", "news"])
    needy, broken, absent = told.value.faults
    assert needy.startswith("news/urls.py:1: INSTALLED_APPS: app 'news': 'news.urls' cannot be imported: No module")
    assert "pip install no_such_library_at_all" in needy
    assert broken.startswith("shop/broken.py:1: ZeroDivisionError: division by zero (shop/urls.py:3: ")
    assert "shop.absent" in absent


def test_an_import_error_is_told_as_a_fault() -> None:
    error = ModuleNotFoundError("No module named 'mako'", name="mako")
    fault = import_fault(error, "THERE", "torngas_aio.template.mako_loader.X", "Check the spelling.")
    assert fault.endswith(
        "cannot be imported: No module named 'mako'. Install it with `pip install 'torngas-aio[mako]'`."
    )
    assert fault.cause == "missing mako"


def test_a_command_shows_the_projects_line_and_no_frames_of_ours(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("conf.py", "DEBUG = True\nMIDDLEWARE_CLASSES = ()\n")
    write("faulty.py", "def command():\n    return undefined_name\n")
    monkeypatch.setattr("torngas_aio.cli.check.load_server", lambda _: __import__("faulty").command())
    assert main(["check", "--settings=conf"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("faulty.py:2: NameError: name 'undefined_name' is not defined\n")
    assert "cli/main.py" not in told


@pytest.mark.parametrize("file", ["uvloop/loop.pyx", "asyncpg/protocol/protocol.pyx", "src/lxml/etree.pxi"])
def test_a_compiled_librarys_frame_is_not_the_projects(file: str) -> None:
    code = compile("def run(call):\n    call()\n", file, "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    with pytest.raises(KeyError) as raised:
        names["run"](partial({}.pop, "dead"))
    assert file not in place_of(raised.value)
