"""The layers: a module imports its own package and lower layers only.

Typing-only and function-level imports count: they are read from the source, nothing is run.
"""

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "torngas_aio"

# The layer of each package, which is a folder or a module of the top level. Packages of one layer do not import each
# other, except in OPEN_LAYERS, where that must form no cycle.
LAYERS: dict[str, int] = {
    "_json": 0, "_masking": 0, "_names": 0, "_node": 0, "_version": 0, "_cleanup": 0, "_concurrency": 0,
    "_project_errors": 0, "_unawaited": 0, "_former_names": 0, "codes": 0, "context": 0, "_job_events": 0,
    "exception": 0, "_compat": 0, "storage": 0, "utils": 0,
    "global_settings": 1, "i18n": 1, "settings_manager": 1, "checks": 1, "signal": 1, "dispatch": 1, "logger": 1,
    "_backends": 1,
    "cache": 2, "db": 2, "template": 2, "http": 2,
    "session": 3, "channels": 3, "jobs": 3,
    "application": 4, "handler": 4, "pipeline": 4, "routing": 4, "urlhelper": 4, "errorpage": 4, "lifespan": 4,
    "api": 4, "forms": 4, "mounts": 4,
    "middleware": 5, "httpmodule": 5, "mixins": 5, "decorators": 5, "auth": 5, "operations": 5,
    "webserver": 6, "cli": 6, "testing": 6, "scripts": 6, "asgi": 6, "__main__": 6,
}  # fmt: skip
OPEN_LAYERS = {0, 1, 4, 5, 6}

# Each third-party library lives in the modules named here; what is not named may be used nowhere.
EVERYWHERE = {"tornado", "anyio"}
LIBRARIES: dict[str, tuple[str, ...]] = {
    "httptools": ("http",),
    "uvloop": ("http", "webserver", "testing", "cli"),
    "redis": ("cache/backends", "cache/redis", "channels/listener", "channels/redis", "jobs/redis"),
    "taskiq": ("jobs",),
    "cronsim": ("jobs/schedules",),
    "hiredis": ("cache/redis",),
    "aiomcache": ("cache/backends", "cache/memcached"),
    "msgspec": ("cache/serializers", "handler", "_json", "api", "jobs"),
    "orjson": ("handler", "_json"),
    "sqlalchemy": ("_compat/sqlalchemy", "db", "middleware/dbalchemy", "testing", "operations/calls", "jobs/outbox"),
    "alembic": ("db",),
    "aiomysql": ("_compat/aiomysql", "db"),
    "pymysql": ("db",),
    "asyncmy": ("db",),
    "aiosqlite": ("_compat/aiosqlite", "db"),
    "asyncpg": ("db",),
    "greenlet": ("template/waiting",),
    "jinja2": ("template",),
    "markupsafe": ("template", "forms"),
    "wtforms": ("forms",),
    "mako": ("template",),
    "a2wsgi": ("mounts",),
    "limits": ("httpmodule",),
    "httpcore2": ("testing",),
    "httpx2": ("testing",),
    "pydantic": ("api", "jobs"),
    "argon2": ("auth",),
    "fissix": ("cli/port",),
    "jwt": ("auth",),
    "prometheus_client": ("operations/metrics", "operations/project_metrics"),
    "opentelemetry": ("operations/tracing",),
    "pytest": ("testing",),
    "pytest_asyncio": ("testing",),
}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "cli/templates" not in path.as_posix()]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base == "torngas_aio":
                yield from ((node.lineno, f"torngas_aio.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_its_own_package_and_lower_layers_only(path: Path) -> None:
    package = package_of(name_of(path))
    if not package:  # `torngas_aio/__init__.py` exports names of every layer, lazily
        return
    assert package in LAYERS, (
        f"{package!r} belongs to no layer: add it to LAYERS here and to the table of docs/internals.md"
    )
    faults = []
    for line, target in imports_of(path):
        other = package_of(target)
        if not target.startswith("torngas_aio") or other == package:
            continue
        if not other or other not in LAYERS:
            faults.append(f"{path.name}:{line} imports {target}, which belongs to no layer")
        elif LAYERS[other] > LAYERS[package]:
            faults.append(f"{path.name}:{line} imports {target}, {LAYERS[other]} above {LAYERS[package]}: pass it in")
        elif LAYERS[other] == LAYERS[package] and LAYERS[package] not in OPEN_LAYERS:
            faults.append(f"{path.name}:{line} imports {target}, of the same layer {LAYERS[package]}: pass it in")
    assert not faults, "\n".join([*faults, "See 'Layers' in docs/internals.md."])


def test_internals_draw_the_layers() -> None:
    """Modules with an underscore are left out: the table names them together."""
    page = (PACKAGE.parent / "docs/internals.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d)[^|]*\| ([^|]+) \|", page, re.MULTILINE)
    drawn = {name: int(layer) for layer, names in rows for name in re.findall(r"`([a-z]\w*)`", names)}
    assert drawn == {name: layer for name, layer in LAYERS.items() if name[0] != "_"}, (
        "make the table of layers in docs/internals.md agree with LAYERS"
    )


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_third_party_library_lives_in_its_own_modules(path: Path) -> None:
    import sys

    module = path.relative_to(PACKAGE).with_suffix("").as_posix()
    faults = []
    for line, target in imports_of(path):
        library = target.split(".")[0]
        if library in sys.stdlib_module_names or library in EVERYWHERE or library in {"torngas_aio", ""}:
            continue
        if not any(module == place or module.startswith(f"{place}/") for place in LIBRARIES.get(library, ())):
            faults.append(f"{path.name}:{line} imports {library}; its place is {LIBRARIES.get(library, 'nowhere')}")
    assert not faults, "\n".join([*faults, "LIBRARIES in this file says which module may use which library."])


def test_packages_of_an_open_layer_form_no_cycle() -> None:
    edges: dict[str, set[str]] = {}
    for path in modules():
        package = package_of(name_of(path))
        for _, target in imports_of(path):
            other = package_of(target)
            if package and other in LAYERS and other != package and target.startswith("torngas_aio"):
                edges.setdefault(package, set()).add(other)
    done: set[str] = set()

    def walk(package: str, trail: tuple[str, ...]) -> None:
        cycle = " -> ".join([*trail[trail.index(package) :], package]) if package in trail else ""
        assert not cycle, f"{cycle}: pass in what one of them needs"
        if package not in done:
            for other in sorted(edges.get(package, ())):
                walk(other, (*trail, package))
            done.add(package)

    for package in sorted(edges):
        walk(package, ())


def test_modules_form_no_import_cycle() -> None:
    """Inside packages too; imports for types only, or made when a function runs, count."""
    names = {name_of(path) for path in modules()}
    edges = {name_of(path): set(_imported_modules(path, names)) for path in modules()}
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        cycle = " -> ".join([*trail[trail.index(module) :], module]) if module in trail else ""
        assert not cycle, f"{cycle}: move what both need into a module of its own"
        if module not in done:
            for other in sorted(edges[module]):
                walk(other, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        walk(module, ())


def _imported_modules(path: Path, names: set[str]) -> Iterator[str]:
    own = name_of(path)
    for target in _imported_names(path):
        module = target if target in names else target.rpartition(".")[0]
        # A package that imports its own modules is not in a cycle with them.
        if module in names and module != own and not own.startswith(f"{module}."):
            yield module


def _imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name_of(path)}:{node.lineno}: write the import absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages() -> list[Path]:
    return [path for path in modules() if path.name == "__init__.py" and path.parent != PACKAGE]


@pytest.mark.parametrize("path", packages(), ids=name_of)
def test_a_package_lists_its_modules(path: Path) -> None:
    """Each as `name.py`, or `name/` for a package, in the docstring; and no other."""
    text = ast.get_docstring(tree_of(path)) or ""
    entries = {entry.name for entry in path.parent.glob("*.py")} - {"__init__.py"}
    entries |= {f"{entry.parent.name}/" for entry in path.parent.glob("*/__init__.py")}
    listed = set(re.findall(r"(?<![\w./*])\w+(?:\.py\b|/(?!\w))", text))
    place = path.relative_to(PACKAGE.parent)
    assert entries <= listed, f"say in the docstring of {place} what {sorted(entries - listed)} are for"
    assert listed <= entries, (
        f"take {sorted(listed - entries)} out of the docstring of {place}: there are no such modules"
    )


METAPHORS = (
    "house", "rooms?", "floors?", "doors?", "roads?", "hub", "vault", "ticket", "shelf", "shelves", "seed", "frontier",
    "whoever", "nobody", "somebody", "anew",
)  # fmt: skip
"""Words that the field does not use for what this package does: write the technical word. Names are looked at, too."""

_metaphor = re.compile(rf"(?<![^\W_])(?:{'|'.join(METAPHORS)})(?![^\W_])", re.IGNORECASE)
_USED_BY_OTHERS = {  # by SQL, Lua and the standard library
    "channels/redis.py": {"floor"},
    "db/_connections.py": {"floor"},
    "httpmodule/ratelimit.py": {"floor"},
}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_comments_messages_and_names_use_the_words_of_the_field(path: Path) -> None:
    allowed = _USED_BY_OTHERS.get(path.relative_to(PACKAGE).as_posix(), set())
    found = [
        f"{path.name}:{token.start[0] + token.string.count(chr(10), 0, match.start())}: {match[0]}"
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        for match in _metaphor.finditer(token.string)
        if match[0].lower() not in allowed
    ]
    assert not found, f"{found}: write the technical word; of another's interface, add it to _USED_BY_OTHERS"


def test_packages_say_where_to_begin_and_their_modules_do_not() -> None:
    headers = {path: ast.get_docstring(tree_of(path)) or "" for path in modules()}
    found = {path for path, header in headers.items() if "Begin with" in header}
    assert {path.name for path in found} == {"__init__.py"}, f"{found}: say it in the package's docstring"


DOCUMENTED = frozenset({"_current_frames", "_exit", "_getframe", "_replace"})
"""Names of the standard library that are documented in spite of their underscore."""


HANDLERS_NAMES = {
    "application": {"_reads_body", "_status_code"},
    "http/server_state": {"_check_time_limit", "_next_time_check"},
    "httpmodule/ratelimit": {"_rate_limit_headers"},
    "middleware/accesslog": {"_error", "_finished", "_logged_bytes", "_run"},
    "middleware/session": {"_headers_written", "_session_error"},
    "operations/counts": {"_start_time"},
    "operations/tracing": {"_error", "_raw_headers"},
    "template/values": {"_awaits_user", "_module_depth"},
}
"""Private attributes of handlers and requests, whose public ones are their projects' too, that other packages use."""


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_private_names_are_used_in_their_own_package_only(path: Path) -> None:
    """Those of a library in `_compat` only. A subclass uses what it inherits, by `self`."""
    package = package_of(name_of(path))
    if package == "_compat":
        return
    allowed = HANDLERS_NAMES.get(path.relative_to(PACKAGE).with_suffix("").as_posix(), set())
    found = set(_private_names_of_others(path)) - _defined_names(package) - DOCUMENTED
    assert not found - allowed, (
        f"{found - allowed}: a library's goes into torngas_aio/_compat, with a test in tests/upstream; of our own, "
        "make it public"
    )
    assert not allowed - found, f"take {allowed - found} out of HANDLERS_NAMES"


def _private_names_of_others(path: Path) -> Iterator[str]:
    """Give the private names that are asked of other objects than `self` and `cls`, by `getattr` too, or imported."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            if not _is_own(node.value):
                yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            owner, name, *_ = node.args
            if isinstance(name, ast.Constant) and not _is_own(owner) and _is_private(str(name.value)):
                yield str(name.value)
        elif isinstance(node, ast.ImportFrom) and node.module != "torngas_aio":  # whose private modules are for all
            yield from (alias.name for alias in node.names if _is_private(alias.name))


def _is_own(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in {"self", "cls"}


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@functools.cache
def _defined_names(package: str) -> frozenset[str]:
    """Return the names that modules of *package* define, as functions, attributes of `self`, or in `__slots__`."""
    names: set[str] = set()
    for path in modules():
        if package_of(name_of(path)) != package:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_own(node.value):
                names.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__slots__":
                names |= {str(each.value) for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
            elif isinstance(node, ast.keyword) and node.arg is not None:
                names.add(node.arg)  # of `__dict__.update(...)`
    return frozenset(names)


LONG = 80
"""Lines above which a module has a test file of its own, which stands where it stands and is named after it."""

WITHOUT_TEST_FILE = frozenset(
    {
        "db/basedb/drivers/mysql",
        "global_settings", "handler/mounted", "handler/mounted_exchange", "http/base", "http/tornado_adapter",
        "jobs/base", "webserver/single",
    }
)  # fmt: skip
"""Modules of more than 80 lines that have none yet; the list only gets shorter."""


@pytest.mark.parametrize("path", [path for path in modules() if "._" not in name_of(path)], ids=name_of)
def test_public_functions_that_raise_say_so(path: Path) -> None:
    """Each in a section `Raises:`, a sentence "Raises as ..." or, where it does nothing else, "Raise X where ...".

    An override without a docstring keeps the contract of the method that it overrides.
    """
    faults = [
        f"{path.name}:{node.lineno} {node.name}"
        for node, may_override in _public_functions(tree_of(path).body)
        if any(isinstance(each, ast.Raise) and _raises_error(each) for each in _own_nodes(node))
        and not (ast.get_docstring(node) is None and may_override)
        and not re.search(r"\b[Rr]aises?\b", ast.get_docstring(node) or "")
    ]
    assert not faults, "\n".join([*faults, "Add a section 'Raises:' to each docstring."])


def _public_functions(
    body: list[ast.stmt], may_override: bool = False
) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node.body, bool(node.bases))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node, may_override


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What is inside *node*, without the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


def _raises_error(node: ast.Raise) -> bool:
    """Whether it raises an error of its own: what was caught goes on, and a bare NotImplementedError is abstract."""
    return node.exc is not None and not (isinstance(node.exc, ast.Name) and node.exc.id == "NotImplementedError")


def test_test_files_mirror_their_modules() -> None:
    long = {path for path in modules() if path.stem != "__init__" and path.read_text("utf-8").count("\n") > LONG}
    without = {
        path.relative_to(PACKAGE).with_suffix("").as_posix() for path in long if not _test_file_of(path).exists()
    }
    new = without - WITHOUT_TEST_FILE
    assert not new, f"give them test files of their own, as {_test_file_of(PACKAGE / f'{min(new)}.py')}"
    assert without == WITHOUT_TEST_FILE, "take the modules that have one, or are short or gone, off the list"


def _test_file_of(module: Path) -> Path:
    """Return where a module's test file stands: `a/_b.py` has `tests/a/test_b.py`; `_compat` is `upstream`."""
    folder = module.parent.relative_to(PACKAGE)
    tests = Path(__file__).parent / ("upstream" if folder.name == "_compat" else folder)
    return tests / f"test_{module.stem.removeprefix('_')}.py"
