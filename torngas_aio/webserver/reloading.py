"""Starting again when a file of the project changes, with DEBUG on.

A start that fails after an edit waits for the next edit instead of ending the program.
Begin with `start_reloading`.
"""

import os
import sys
import traceback

from tornado import autoreload

__all__ = ["is_reloading", "start_reloading", "wait_if_reloading"]

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
        error: Why the start failed; the files it went through are watched too, imported or not.
    """
    if not is_reloading():
        return
    for path in _files_of(error):
        autoreload.watch(path)
    sys.stderr.write("Waiting for a change of the project's files.\n")
    autoreload.wait()


def _mark() -> None:
    os.environ[_MARK] = "1"


def _files_of(error: BaseException | None) -> set[str]:
    files: set[str] = set()
    while error is not None:
        files.update(frame.filename for frame in traceback.extract_tb(error.__traceback__))
        if isinstance(error, SyntaxError) and error.filename:
            files.add(error.filename)
        error = error.__cause__ or error.__context__
    return {path for path in files if os.path.exists(path)}  # noqa: PTH110  "<string>" is no file either way
