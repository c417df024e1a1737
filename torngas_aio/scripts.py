"""A project outside of its server: settings, logs, caches and databases for scripts, cron jobs and notebooks.

    async with project("settings.setting"):    in a separate program
    torngas-aio run report.py --day=1          a script that uses `await`, or `asyncio.run`, in the project

Resources opened in the block are closed at its end; a coroutine that was not awaited is an error.
"""

import asyncio
import builtins
import inspect
import os
import sys
import tomllib
import traceback
import types
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio.to_thread

from torngas_aio._cleanup import close_all
from torngas_aio._unawaited import collected_unawaited, tracked_origins
from torngas_aio.exception import ConfigError, Unawaited
from torngas_aio.logger import init_logging, shutdown_logging
from torngas_aio.settings_manager import ENVIRONMENT_NAME, settings
from torngas_aio.utils.narrowing import is_dict, is_list_or_tuple
from torngas_aio.webserver.runner import LoopRunner

__all__ = ["choose_settings", "close", "db_sessions", "project", "project_table", "run_script"]

CONVENTIONAL = ("settings.setting", "settings.settings")

_is_open: ContextVar[bool] = ContextVar("torngas_aio_project", default=False)


@asynccontextmanager
async def project(module: str | None = None) -> AsyncGenerator[None]:
    """Open the project for this block: its settings, logs, caches and databases, each database with a session.

    `Model.Q`, `Model.session`, `cache` and the loggers work inside. Uncommitted work is rolled back at the end, and
    every pool that was opened in this loop is closed. Nested blocks do nothing.

    Args:
        module: The settings module, such as "settings.setting"; None keeps the loaded settings, else finds the
            project's as `torngas-aio` does: TORNGAS_APP_SETTINGS, pyproject.toml, `settings/setting.py`.

    Raises:
        ConfigError: The settings or LOGGING are invalid.
        Unawaited: The block has created coroutines without awaiting them, so they have not run.
    """
    if _is_open.get():
        yield
        return
    await anyio.to_thread.run_sync(_prepare, module)
    _is_open.set(True)
    try:
        with _refuse_unawaited():
            try:
                async with db_sessions():
                    yield
            finally:
                await close()
    finally:
        _is_open.set(False)
        await anyio.to_thread.run_sync(shutdown_logging)


def project_table() -> dict[str, Any]:
    """Return `[tool.torngas-aio]` of the pyproject.toml in the current directory; empty if there is none.

    Raises:
        ConfigError: The file is not TOML.
    """
    path = Path("pyproject.toml")
    if not path.is_file():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path.resolve()}: {exc}.", code="TGA101") from exc
    table: dict[str, object] = tables.get("tool", {}).get("torngas-aio", {})
    return table


@asynccontextmanager
async def db_sessions() -> AsyncGenerator[None]:
    """Open a session of every database of DATABASE_CONNECTION for the block; connections are made on first use."""
    async with AsyncExitStack() as stack:
        if settings.DATABASE_CONNECTION:
            from torngas_aio.db.dbalchemy import session_scope

            for name in settings.DATABASE_CONNECTION:
                await stack.enter_async_context(session_scope(name))
        yield


async def close() -> None:
    """Close the open resources of this loop: the pools of caches and databases. They reopen on later use."""
    await close_all()


def choose_settings(module: str | None = None) -> str:
    """Load the project's settings and return the name of their module.

    That is *module*, else the value of TORNGAS_APP_SETTINGS, else `settings` under `[tool.torngas-aio]` in
    pyproject.toml, else `settings.setting` or `settings.settings` if it exists.

    The name is also set in TORNGAS_APP_SETTINGS, for child processes.

    Raises:
        ConfigError: No module is named or found, or it cannot be imported.
    """
    chosen = module or os.environ.get(ENVIRONMENT_NAME) or project_table().get("settings") or _conventional()
    if chosen is None:
        raise ConfigError(
            "No settings module. Run this in the project's directory, or name one with --settings=package.module "
            f"or {ENVIRONMENT_NAME}.",
            code="TGA101",
        )
    settings.load(chosen)
    os.environ[ENVIRONMENT_NAME] = chosen
    return chosen


def run_script(path: str, arguments: Sequence[str] = ()) -> bool:
    """Run the script *path* as `__main__` in the project, whose settings are loaded; return whether all was awaited.

    It may use `await` outside of functions. If it calls `asyncio.run`, that runs in the project. `sys.exit` with a
    status other than 0 is raised here.

    Args:
        arguments: For its `sys.argv`, without the script's name.
    """
    main = types.ModuleType("__main__")
    vars(main).update(__file__=path, __builtins__=builtins)
    before, sys.argv = (sys.argv, sys.modules["__main__"]), [path, *arguments]
    sys.modules["__main__"] = main
    sys.path.insert(0, str(Path(path).resolve().parent))
    code = compile(Path(path).read_bytes(), path, "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
    try:
        with collected_unawaited() as found:
            with _asyncio_run_in_project(), _exits_that_fail():
                if code.co_flags & inspect.CO_COROUTINE:
                    asyncio.run(types.FunctionType(code, vars(main))())
                else:
                    exec(code, vars(main))  # noqa: S102  the user's own script
            _drop_awaitables(vars(main))
    finally:
        sys.argv, sys.modules["__main__"] = before
    return not found


@contextmanager
def _exits_that_fail() -> Generator[None]:
    """Raise `sys.exit` only with a status other than 0; a status of 0 ends the block."""
    try:
        yield
    except SystemExit as exc:
        if exc.code:
            raise
        traceback.clear_frames(exc.__traceback__)  # release coroutines that were not awaited


def _drop_awaitables(values: dict[str, Any]) -> None:
    """Delete un-awaited objects from the script's globals; other globals stay, for functions that run at exit."""
    for name, value in list(values.items()):
        held: Iterable[object] = value.values() if is_dict(value) else value if is_list_or_tuple(value) else [value]
        if any(map(inspect.isawaitable, held)):
            del values[name]


@contextmanager
def _asyncio_run_in_project() -> Generator[None]:
    original = asyncio.run
    asyncio.run = _run_in_project
    try:
        yield
    finally:
        asyncio.run = original


def _run_in_project(
    main: Coroutine[object, None, Any], *, debug: bool | None = None, loop_factory: Callable[[], object] | None = None
) -> Any:
    """Run *main* in the project, in place of `asyncio.run`; with our loop, as in the server."""

    async def run() -> Any:
        async with project():
            return await main

    with LoopRunner() as runner:
        return runner.run(run())


@contextmanager
def _refuse_unawaited() -> Generator[None]:
    is_ended = False
    with collected_unawaited() as found, tracked_origins() if settings.DEBUG else nullcontext(), _exits_that_fail():
        yield
        is_ended = True
    if found:
        raise Unawaited("\n".join(map(str, found)))
    if not is_ended:
        sys.exit()


def _prepare(module: str | None) -> None:
    if module is not None or not settings.is_loaded:
        choose_settings(module)
    init_logging(None, settings)


def _conventional() -> str | None:
    return next((name for name in CONVENTIONAL if Path(*name.split(".")).with_suffix(".py").is_file()), None)
