"""Names that settings use of each other, and dotted paths."""

from pathlib import Path
from typing import Any

import pytest

from tests.checks.test_shapes import SessionMiddleware, faults_of
from torngas_aio.settings_manager import Settings


@pytest.mark.usefixtures("plugins")
def test_an_excluded_module_must_be_common() -> None:
    """`!x` with x not in COMMON_MODULES is a fault, with what was perhaps meant."""
    found = faults_of(COMMON_MODULES=["plugin_parts.Part"], ROUTE_MODULES={"Index": ["!plugin_parts.Prt"]})
    (fault,) = found
    assert fault.startswith("ROUTE_MODULES['Index'][0] = '!plugin_parts.Prt': COMMON_MODULES has no 'plugin_parts.Prt'")
    assert fault.endswith(". Did you mean 'plugin_parts.Part'?")
    assert faults_of(ROUTE_MODULES={"Index": ["!a.b"]})[0].endswith("COMMON_MODULES has no 'a.b'. It is empty.")


class DBAlchemyMiddleware:
    """Stands for the real one."""


DBAlchemyMiddleware.__module__ = "torngas_aio.middleware.dbalchemy"


def test_the_session_needs_its_alias_and_secret() -> None:
    """Both are looked at only with SessionMiddleware."""
    session = {"session_cache_alias": "defalt"}
    assert faults_of(SESSION=session) == []
    found = faults_of(SESSION=session, MIDDLEWARE_CLASSES=[SessionMiddleware])
    assert found[0] == "SESSION['session_cache_alias'] = 'defalt': no such alias. Did you mean 'default'?"
    assert found[1].startswith("SESSION['secret_key'] is missing, and DEBUG is off. Generate one with")
    assert len(found) == 2


def test_the_database_middleware_needs_a_connection() -> None:
    """An empty DATABASE_CONNECTION is a fault only then."""
    assert faults_of(MIDDLEWARE_CLASSES=[DBAlchemyMiddleware])[0].startswith("DATABASE_CONNECTION is empty")


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
        ("plugin_parts.fnction", "module 'plugin_parts' has no attribute 'fnction'. Check the spelling"),
        ("plugin_absent.guard", "No module named 'plugin_absent'. Check the spelling"),
        ("plugin_parts", "write the full dotted path, such as 'package.module.plugin_parts'."),
        ("plugin_parts.__name__", "this is a str, a function is wanted."),
    ],
)
def test_dotted_paths_must_name_a_function(path: str, fault: str) -> None:
    """They are called at requests only: each that needed them was a 500."""
    caches = {"default": {"BACKEND": "torngas_aio.cache.backends.dummy.DummyCache", "KEY_FUNCTION": path}}
    places: dict[str, dict[str, Any]] = {
        "AUTH['load_user']": {"AUTH": {"load_user": path}},
        "AUTH['has_permission']": {"AUTH": {"has_permission": path}},
        "OPENAPI_GUARD": {"OPENAPI_GUARD": path},
        "CACHES['default']['KEY_FUNCTION']": {"CACHES": caches},
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
