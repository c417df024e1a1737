"""Checks of one value: dotted paths and networks."""

from pathlib import Path
from typing import Any

import pytest

from tests.checks.test_shapes import faults_of
from torngas_aio.exception import ConfigError
from torngas_aio.settings_manager import Settings
from torngas_aio.utils.addresses import Networks


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("plugin_parts.Prt", "module 'plugin_parts' has no attribute 'Prt'. Check the spelling"),
        ("plugin_absent.Part", "No module named 'plugin_absent'. Check the spelling"),
        ("plugin_parts", "write the full dotted path, such as 'package.module.plugin_parts'."),
        ("plugin_parts.function", "this is a builtin_function_or_method, a class is wanted."),
    ],
)
def test_dotted_paths_must_name_a_class(path: str, fault: str) -> None:
    """Wherever a class is named: middlewares, modules, cache backends, the template engine."""
    places: dict[str, dict[str, Any]] = {
        "MIDDLEWARE_CLASSES[0]": {"MIDDLEWARE_CLASSES": [path]},
        "COMMON_MODULES[0]": {"COMMON_MODULES": [path]},
        "ROUTE_MODULES['Index'][0]": {"ROUTE_MODULES": {"Index": [path]}},
        "CACHES['default']['BACKEND']": {"CACHES": {"default": {"BACKEND": path}}},
        "TEMPLATE_CONFIG['template_engine']": {"TEMPLATE_CONFIG": {"template_engine": path}},
    }
    for place, values in places.items():
        found = faults_of(**values)
        assert len(found) == 1, found
        assert found[0].startswith(f"{place} = {path!r}: {fault}")


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("plugin_broken.Part", "ZeroDivisionError: division by zero (MIDDLEWARE_CLASSES[0]: importing "),
        ("plugin_needy.Part", "MIDDLEWARE_CLASSES[0]: 'plugin_needy.Part' cannot be imported: No module named "),
        ("plugin_redis.Part", "MIDDLEWARE_CLASSES[0]: 'plugin_redis.Part' cannot be imported: No module named "),
        ("plugin_syntax.Part", "SyntaxError: '(' was never closed (MIDDLEWARE_CLASSES[0]: importing "),
        ("plugin_name.Part", "NameError: name 'nowhere' is not defined (MIDDLEWARE_CLASSES[0]: importing "),
    ],
)
def test_errors_of_the_project_s_code_show_its_line_first(
    path: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a missing library how to install it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plugin_syntax.py").write_text("class Part(\n")
    (tmp_path / "plugin_name.py").write_text("nowhere\n")
    (found,) = faults_of(MIDDLEWARE_CLASSES=[path])
    file = path.partition(".")[0]
    assert f"{file}.py:1: {fault}" in found
    assert ("pip install" in found) == (file in {"plugin_needy", "plugin_redis"})


@pytest.mark.usefixtures("plugins")
def test_what_can_be_imported_is_no_fault() -> None:
    """Dotted strings and classes themselves are both taken."""
    part = "plugin_parts.Part"
    assert (
        faults_of(
            MIDDLEWARE_CLASSES=[part, Settings],
            COMMON_MODULES=[part, Settings],
            ROUTE_MODULES={"Index": [f"!{part}", "!all", part, dict]},
            CACHES={"default": {"BACKEND": part, "KEY_FUNCTION": "plugin_parts.function"}},
            TEMPLATE_CONFIG={"template_engine": part, "trim_blocks": True},
            OWN_SETTING=1,
        )
        == []
    )


@pytest.mark.parametrize(
    "entries",
    [("10.0.0.1",), ["10.0.0.0/8", "::1"], ["::ffff:10.0.0.0/104"], ["2001:db8::/32", "0.0.0.0/0"], [], False],
)
def test_what_the_whitelist_takes_passes(entries: Any) -> None:
    """The check and the decorator read an entry with the same function."""
    assert faults_of(WHITELIST=entries) == []
    assert repr(Networks(entries or ()))


@pytest.mark.parametrize(
    "entry", ["10.0.0.1/8", "x", "", "10.0.0.0/33", "::1%lo", " ::1", "10.0.0.1/255.0.0.0", "1.2.3", "fe80::1/10"]
)
def test_what_the_whitelist_refuses_is_a_fault(entry: str) -> None:
    (fault,) = faults_of(WHITELIST=[entry])
    assert fault.startswith(f"WHITELIST[0] = {entry!r}: must be")
    with pytest.raises(ConfigError):
        Networks([entry])
