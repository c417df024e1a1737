"""The floors of the house: a module imports its own room and lower floors only.

Typing-only and function-level imports count: they are read from the source, nothing is run.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "torngas_aio"

# Floor, room: a room is a folder or a module of the top level. Rooms of one floor have no doors between
# them, except on the floors named in OPEN_FLOORS, where a later room may use an earlier one.
FLOORS: dict[str, int] = {
    "_importing": 0, "_json": 0, "_masking": 0, "_node": 0, "_version": 0, "_closing": 0, "_project_errors": 0,
    "codes": 0, "context": 0, "exception": 0, "storage": 0, "utils": 0,
    "global_settings": 1, "i18n": 1, "settings_manager": 1, "checks": 1, "signal": 1, "dispatch": 1, "logger": 1,
    "cache": 2, "db": 2, "template": 2, "http": 2,
    "session": 3,
    "application": 4, "handler": 4, "pipeline": 4, "routing": 4, "urlhelper": 4, "errorpage": 4, "lifespan": 4,
    "middleware": 5, "httpmodule": 5, "mixins": 5, "decorators": 5,
    "webserver": 6, "cli": 6, "testing": 6, "asgi": 6, "__main__": 6,
}  # fmt: skip
OPEN_FLOORS = {0, 1, 4, 5, 6}

# Each third-party library lives in the modules named here; what is not named may be used nowhere.
EVERYWHERE = {"tornado", "anyio"}
LIBRARIES: dict[str, tuple[str, ...]] = {
    "httptools": ("http",),
    "uvloop": ("http", "webserver", "testing", "cli"),
    "redis": ("cache/backends",),
    "hiredis": ("cache/backends",),
    "aiomcache": ("cache/backends",),
    "msgspec": ("cache/serializers", "handler", "_json"),
    "orjson": ("handler", "_json"),
    "sqlalchemy": ("db", "middleware/dbalchemy", "testing"),
    "alembic": ("db",),
    "aiomysql": ("db",),
    "pymysql": ("db",),
    "asyncmy": ("db",),
    "aiosqlite": ("db",),
    "asyncpg": ("db",),
    "jinja2": ("template",),
    "markupsafe": ("template",),
    "mako": ("template",),
    "limits": ("httpmodule",),
    "httpcore2": ("testing",),
    "httpx2": ("testing",),
    "pytest": ("testing",),
    "pytest_asyncio": ("testing",),
}


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if "cli/templates" not in path.as_posix()]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_imports_its_own_room_and_lower_floors_only(path: Path) -> None:
    room = room_of(name_of(path))
    if not room:  # the package's own front: it hands on names of every floor, lazily
        return
    assert room in FLOORS, f"{room!r} stands on no floor"
    faults = []
    for line, target in imports_of(path):
        other = room_of(target)
        if not target.startswith("torngas_aio") or other == room:
            continue
        if not other or other not in FLOORS:
            faults.append(f"{path.name}:{line} imports {target}, which stands on no floor")
        elif FLOORS[other] > FLOORS[room]:
            faults.append(f"{path.name}:{line} imports {target}, {FLOORS[other]} above {FLOORS[room]}")
        elif FLOORS[other] == FLOORS[room] and FLOORS[room] not in OPEN_FLOORS:
            faults.append(f"{path.name}:{line} imports {target}: no door on floor {FLOORS[room]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_third_party_library_lives_in_its_own_modules(path: Path) -> None:
    import sys

    place = path.relative_to(PACKAGE).with_suffix("").as_posix()
    faults = []
    for line, target in imports_of(path):
        library = target.split(".")[0]
        if library in sys.stdlib_module_names or library in EVERYWHERE or library in {"torngas_aio", ""}:
            continue
        if not any(place == home or place.startswith(f"{home}/") for home in LIBRARIES.get(library, ())):
            faults.append(f"{path.name}:{line} imports {library}; its home is {LIBRARIES.get(library, 'nowhere')}")
    assert not faults, "\n".join(faults)


def test_rooms_of_an_open_floor_have_no_cycles() -> None:
    edges: dict[str, set[str]] = {}
    for path in modules():
        room = room_of(name_of(path))
        for _, target in imports_of(path):
            other = room_of(target)
            if room and other in FLOORS and other != room and target.startswith("torngas_aio"):
                edges.setdefault(room, set()).add(other)
    done: set[str] = set()

    def walk(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, " -> ".join([*trail[trail.index(room) :], room])
        if room not in done:
            for other in sorted(edges.get(room, ())):
                walk(other, (*trail, room))
            done.add(room)

    for room in sorted(edges):
        walk(room, ())
