"""Restart on changes of the project's files, with DEBUG on.

    a file changes ─► compile ─► trial start in a separate process ─► this program is replaced (exec)
                          └────────────────┴─ failure: the reason is logged; the running code continues to serve
    hand_over, take_over   sessions in memory, passed in an anonymous file whose descriptor the new program inherits

If the start after a successful trial fails, the program waits for the next edit instead of exiting.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tornado import autoreload
from tornado.ioloop import PeriodicCallback

from torngas_aio._compat.tornado import restart, watched_files
from torngas_aio._project_errors import shortened
from torngas_aio.application import Application
from torngas_aio.cache.lru import Entry, Kind, Location
from torngas_aio.http.worker_slot import Program
from torngas_aio.session.record_store import RECORD_HEADS
from torngas_aio.webserver.runner import LoopRunner

__all__ = ["end_trial", "is_reloading", "is_trial", "start_reloading", "trial_fault", "wait_if_reloading"]

logger = logging.getLogger("torngas_aio.server")

CHECK_MILLISECONDS = 500
TRIAL_SECONDS = 30.0
"""Timeout of a trial start; one that takes longer counts as successful."""

MAX_FILES = 5_000
SKIPPED = frozenset({"node_modules", "site-packages"})

_MARK = "TORNGAS_RELOADING"
_LATE = "TORNGAS_RELOADED_FOR"
"""Environment variable: files modified during the previous start; they trigger a restart only once."""

_STARTED_NS = time.time_ns()
_is_reloading = False
_TRIAL = "TORNGAS_TRIAL_START"
_WITH_HOOKS = "hooks"
NOT_STARTED = "The server did not start. "

_DESCRIPTOR = "TORNGAS_RELOAD_DESCRIPTOR"
"""Environment variable: descriptor and inode of the inherited file; the inode tells whether it was inherited."""

_kept: list[Any] = []  # references: to the file until exec, to the locations until their caches are created


def start_reloading() -> None:
    """Watch all imported modules, in the running loop, and restart the program on a change that can be loaded.

    Files of `tornado.autoreload.watch` are watched too, and its reload hooks run.
    """
    take_over()
    autoreload.add_reload_hook(_mark)
    autoreload.add_reload_hook(hand_over)
    PeriodicCallback(_Watcher().look, CHECK_MILLISECONDS).start()


class _Watcher:
    """The files that have changed since the program started.

    A file modified during the start counts as changed, since it may have been imported before. If the project itself
    writes it at each start, that would loop; so the next start ignores it.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._changed: set[str] = set()
        self._since = time.strftime("%H:%M")
        self._find_changes()
        known = os.environ.pop(_LATE, "").split(os.pathsep)
        self._late = {path for path, at in self._times.items() if at > _STARTED_NS and path not in known}

    async def look(self) -> None:
        """Restart the program if a file has changed and the project can still be loaded."""
        late, self._late = self._late, set[str]()
        self._changed |= late
        if not self._find_changes() and not late:
            return
        fault = _syntax_fault(self._changed) or await trial_fault(Program.of_this_process())
        if fault:
            logger.error("%s; still serving the code of %s", fault, self._since)
        else:
            logger.info("%s modified; starting again.", ", ".join(sorted(map(_shown, self._changed))))
            os.environ[_LATE] = os.pathsep.join(late)
            restart()  # runs Tornado's reload hooks; does not return

    def _find_changes(self) -> bool:
        """Return whether a modification time differs from the last check; new files do not count."""
        found = False
        for path in _watched_files():
            try:
                modified = os.stat(path).st_mtime_ns  # noqa: PTH116  1,000 files, twice a second
            except OSError:
                continue
            if self._times.setdefault(path, modified) != modified:
                self._times[path] = modified
                self._changed.add(path)
                found = True
        return found


def _watched_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            yield path
    yield from watched_files()


def _syntax_fault(paths: Iterable[str]) -> str:
    """Return the first syntax error in *paths*, as `home/urls.py, line 17: expected ':'`; "" without one."""
    for path in sorted(paths):
        try:
            if path.endswith(".py"):
                compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
        except SyntaxError as exc:
            return f"{_shown(path)}, line {exc.lineno}: {exc.msg}"
        except (OSError, ValueError):  # the file was deleted, or contains null bytes, which the trial reports
            continue
    return ""


async def trial_fault(program: Program, *, with_hooks: bool = False) -> str:
    """Return why the project on disk cannot be loaded; "" if it can.

    Args:
        with_hooks: Run the startup and shutdown hooks too.
    """
    process = await asyncio.create_subprocess_exec(
        *program.command,
        cwd=program.folder,
        env={**os.environ, _TRIAL: _WITH_HOOKS if with_hooks else "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            output = (await process.communicate())[1].decode(errors="replace")
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == 0:
        return ""
    _, is_ours, reason = output.partition(NOT_STARTED)
    fault = reason.partition("\nTraceback ")[0].strip() if is_ours else (output.strip().splitlines() or ["?"])[-1]
    return fault.removesuffix(".")


def _shown(path: str) -> str:
    return shortened(f"{path}:0").removesuffix(":0")


def is_trial() -> bool:
    """Return whether this process is a trial start."""
    return _TRIAL in os.environ


def end_trial(application: Application | None) -> None:
    """End a trial start, before sockets are bound; run the hooks of *application* first if requested.

    Raises:
        SystemExit: This is a trial start; status 0.
    """
    if not is_trial():
        return
    if application is not None and os.environ[_TRIAL] == _WITH_HOOKS:
        with LoopRunner() as runner:
            runner.run(_open_and_close(application))
    raise SystemExit(0)


async def _open_and_close(application: Application) -> None:
    try:
        await application.startup()
    finally:
        await application.shutdown()


def is_reloading() -> bool:
    """Return whether this program was restarted by a file change.

    The first call removes the mark from the environment, so that child processes do not inherit it.
    """
    global _is_reloading  # noqa: PLW0603  # the environment at the start of this process
    _is_reloading = os.environ.pop(_MARK, None) is not None or _is_reloading
    return _is_reloading


def wait_if_reloading(error: BaseException) -> None:
    """Wait for a file change and restart, if this start is a reload; otherwise return at once.

    Args:
        error: The reason of the failed start. The files in its traceback are watched too, and all Python files of the
            project, imported or not.
    """
    if not is_reloading() or is_trial():
        return
    for path in (*_files_of(error), *_project_files()):
        autoreload.watch(path)
    _mark()  # the next start is a reload too
    sys.stderr.write("Waiting for a change of the project's files.\n")
    autoreload.wait()


def _mark() -> None:
    os.environ[_MARK] = "1"


def _project_files() -> Iterator[str]:
    """Yield at most `MAX_FILES` Python files below the current directory, except in hidden folders and virtualenvs."""
    found = 0
    for folder, below, files in os.walk("."):
        below[:] = [name for name in below if not name.startswith((".", "__")) and name not in SKIPPED]
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        for name in files:
            if name.endswith(".py") and found < MAX_FILES:
                found += 1
                yield os.path.abspath(os.path.join(folder, name))  # noqa: PTH100, PTH118  as `os.walk` gives them


def _files_of(error: BaseException | None) -> set[str]:
    files: set[str] = set()
    while error is not None:
        files.update(frame.filename for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, SyntaxError) and error.filename:
            files.add(error.filename)
        error = error.__cause__ or error.__context__
    return {path for path in files if os.path.exists(path)}  # noqa: PTH110  "<string>" does not exist either way


def hand_over() -> None:
    """Write the session records of all in-process caches to a file for the program that replaces this one."""
    now = time.monotonic()
    records = [
        (name, key, entry.value.decode("latin-1"), entry.expires_at - now)
        for name, location in Location.all().items()
        for key, entry in location.reserved.entries.items()
        if key.startswith(RECORD_HEADS) and isinstance(entry.value, bytes) and entry.expires_at > now
    ]
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the program that reads it
    file.write(json.dumps(records).encode())
    file.flush()
    os.set_inheritable(file.fileno(), True)
    os.environ[_DESCRIPTOR] = f"{file.fileno()}:{os.fstat(file.fileno()).st_ino}"
    _kept.append(file)


def take_over() -> None:
    """Restore the session records of the previous program; unreadable ones are dropped."""
    number, _, inode = os.environ.pop(_DESCRIPTOR, "").partition(":")
    with contextlib.suppress(OSError, ValueError):
        if os.fstat(int(number)).st_ino == int(inode):
            with os.fdopen(int(number), "rb") as file:
                file.seek(0)
                _restore(json.load(file))


def _restore(records: list[tuple[str, str, str, float]]) -> None:
    now = time.monotonic()
    for name, key, value, seconds in records:
        location = Location.named(name)
        _kept.append(location)
        location.reserved.entries.setdefault(key, Entry(value.encode("latin-1"), Kind.PACKED, now + seconds))
