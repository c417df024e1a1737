"""Dotted paths lead to modules and what is in them; an error of the project's own code passes unchanged."""

import importlib
import json
import os.path
import sys
from pathlib import PurePath
from typing import Any

import pytest

from tests.test_project_errors import Write, write
from torngas_aio._names import import_module, import_object, without_exit

__all__ = ["write"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("json", json),
        ("json.loads", json.loads),
        ("json.decoder", json.decoder),
        ("json.decoder.JSONDecoder.decode", json.JSONDecoder.decode),
        ("os.path.join", os.path.join),  # of a module whose name is posixpath
        ("pathlib.PurePath.joinpath", PurePath.joinpath),
        ("sys.version_info.major", sys.version_info.major),
    ],
)
def test_a_path_leads_to_a_module_or_to_what_is_in_it(path: str, found: Any) -> None:
    assert import_object(path) == found


def test_a_module_that_its_package_has_not_imported_is_found(write: Write) -> None:
    write("shop/__init__.py", "")
    write("shop/prices/__init__.py", "")
    write("shop/prices/taxes.py", "class Tax:\n    rate = 19\n")
    importlib.invalidate_caches()
    assert import_object("shop.prices.taxes.Tax.rate") == 19
    assert import_object("shop.prices").__name__ == "shop.prices"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("json.absent", r"'json\.absent': module 'json' has no attribute 'absent'\."),
        ("json.decoder.JSONDecoder.absent", r"type 'JSONDecoder' has no attribute 'absent'"),
        ("json.loads.absent", "function 'loads' has no attribute 'absent'"),
        ("no_such_module", "No module named 'no_such_module'"),
        ("no_such_module.Class", "No module named 'no_such_module'"),
        ("json.no_such.module.Class", "module 'json' has no attribute 'no_such'"),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: str, message: str) -> None:
    with pytest.raises(ImportError, match=message):
        import_object(path)


@pytest.mark.parametrize("error", ["1 / 0", "raise KeyError('a')", "import no_such_library", "from json import absent"])
def test_an_error_of_the_module_itself_passes_unchanged(write: Write, error: str) -> None:
    """Also a missing library: the module exists."""
    write("broken.py", f"{error}\n\nclass A:\n    pass\n")
    importlib.invalidate_caches()
    expected = {"1": ZeroDivisionError, "r": KeyError, "i": ModuleNotFoundError, "f": ImportError}[error[0]]
    for path in ("broken", "broken.A", "broken.A.b"):
        with pytest.raises(expected) as caught:
            import_object(path)
        assert getattr(caught.value, "name", None) != "broken"


@pytest.mark.parametrize(
    ("code", "told"), [("", r"sys\.exit\(\) was"), ("3", r"sys\.exit\(3\)"), ("'no'", r"sys\.exit\('no'\)")]
)
def test_a_module_that_exits_is_an_error_at_its_line(write: Write, code: str, told: str) -> None:
    write("leaving.py", f"import sys\n\nsys.exit({code})\n")
    importlib.invalidate_caches()
    with pytest.raises(RuntimeError, match=told) as caught:
        import_module("leaving")
    assert caught.traceback[-1].path.name == "leaving.py"  # type: ignore[union-attr]  # a path
    assert caught.traceback[-1].lineno == 2


def test_what_a_call_returns_and_raises_is_its_own() -> None:
    assert without_exit(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        without_exit(divmod, 7, 0)
    with pytest.raises(KeyboardInterrupt):
        without_exit(_interrupt)


def _interrupt() -> None:
    raise KeyboardInterrupt
