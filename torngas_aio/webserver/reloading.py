"""Starting again when a file of the project changes, with DEBUG on.

A start that fails after an edit waits for the next edit instead of ending the program.
Begin with `start_reloading`.
"""

import os
import sys
import traceback
from collections.abc import Iterator

from tornado import autoreload

__all__ = ["is_reloading", "start_reloading", "wait_if_reloading"]

MAX_FILES = 5_000
SKIPPED = frozenset({"node_modules", "site-packages"})

_MARK = "TORNGAS_RELOADING"


def start_reloading() -> None:
    """Watch every imported module, in the running loop; a changed one starts the program again."""
    autoreload.add_reload_hook(_mark)
    autoreload.start()


def is_reloading() -> bool:
    """Whether this program was started by a change of its files."""
    return _MARK in os.environ


def wait_if_reloading(error: BaseException) -> None:
    """After a reload, wait until a file changes and start again; return at once on a first start.

    Args:
        error: Why the start failed; the files it went through are watched too, as are all Python files of the project,
            imported or not.
    """
    if not is_reloading():
        return
    for path in (*_files_of(error), *_project_files()):
        autoreload.watch(path)
    sys.stderr.write("Waiting for a change of the project's files.\n")
    autoreload.wait()


def _mark() -> None:
    os.environ[_MARK] = "1"


def _project_files() -> Iterator[str]:
    """The Python files below the current directory, at most `MAX_FILES`; hidden folders and environments left out."""
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
    return {path for path in files if os.path.exists(path)}  # noqa: PTH110  "<string>" is no file either way
