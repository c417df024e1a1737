"""Errors of the project's own code, reported with the project's line first.

place_of(error)             home/handlers.py:17
import_fault(error, ...)    one fault for any error of an import; the same cause is listed once
report(error)               a headline, and the traceback of the project's own frames
"""

import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from torngas_aio.exception import Fault

__all__ = [
    "cause_of",
    "code_of",
    "headline",
    "import_fault",
    "install_hint",
    "is_project_file",
    "place_of",
    "report",
    "shortened",
]

PACKAGE = str(Path(__file__).parent)
LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
PACKAGE_FOLDERS = ("site-packages", "dist-packages")

EXTRAS = {
    "redis": "redis",
    "aiomcache": "memcached",
    "sqlalchemy": "db",
    "alembic": "db",
    "aiomysql": "mysql",
    "asyncmy": "asyncmy",
    "asyncpg": "postgres",
    "aiosqlite": "sqlite",
    "mako": "mako",
    "msgspec": "msgpack",
    "orjson": "orjson",
    "limits": "limits",
}
"""Optional library: the extra that installs it."""


def import_fault(error: BaseException, title: str, path: str, hint: str) -> Fault:
    """Return the fault for *error*, raised by importing *path*.

    Args:
        title: The setting or call that needs it: `INSTALLED_APPS: app 'home'`.
        hint: The advice if *path* itself does not exist.
    """
    place = place_of(error)
    if not isinstance(error, ImportError):
        text = f"{headline(error)} ({title}: importing {path!r} ran this.)"
        return Fault(text, code=code_of(error, path), cause=cause_of(error, path), target=path)
    said = str(error).removeprefix(f"{path!r}: ").removesuffix(".")
    mend = install_hint(error, path) or hint
    text = f"{title}: {path!r} cannot be imported: {said}. {mend}"
    sentence = f"{place}: {text}" if place else text
    return Fault(sentence, code=code_of(error, path), cause=cause_of(error, path), target=path)


def cause_of(error: BaseException, path: str) -> str:
    """Return a text that faults of the same origin have in common; empty if *path* itself is the origin."""
    library = missing_library(error, path)
    return f"missing {library}" if library else headline(error) if place_of(error) else ""


def code_of(error: BaseException, path: str) -> str:
    """Return the code of a fault found by importing *path*."""
    if missing_library(error, path):
        return "TGA105"
    return "TGA104" if isinstance(error, ImportError) and not place_of(error) else "TGA108"


def missing_library(error: BaseException, path: str) -> str:
    """Return the missing library that caused *error*; empty for any other cause, such as a part of *path*."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    name = (error.name or "").partition(".")[0]
    return "" if name == path.partition(".")[0] and name not in EXTRAS else name


def install_hint(error: BaseException, path: str) -> str:
    """Return a sentence on how to install the missing library; empty if no library is missing."""
    library = missing_library(error, path)
    if library in EXTRAS:
        return f"Install it with `pip install 'torngas-aio[{EXTRAS[library]}]'`."
    return f"Write its name right, or install it: `pip install {library}`." if library else ""


def headline(error: BaseException) -> str:
    """Return one line: the place in the project, the error's class and its message."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    place = place_of(error)
    return f"{place}: {text}" if place else text


def report(error: BaseException) -> str:
    """Return the headline of *error* and its traceback: the project's own frames, and the innermost one."""
    summary = traceback.TracebackException.from_exception(error)
    chained: traceback.TracebackException | None = summary
    while chained is not None:
        innermost = chained.stack[-1:]
        kept = [frame for frame in chained.stack if is_project_file(frame.filename) or frame in innermost]
        chained.stack = traceback.StackSummary.from_list([each for each in kept if not _is_ours(each.filename)])
        chained = chained.__cause__ or chained.__context__
    return f"{headline(error)}\n{''.join(summary.format())}"


def place_of(error: BaseException) -> str:
    """Return file and line of the project from which *error* comes, empty if none of its code was involved.

    That is the line of a SyntaxError, else the innermost frame that is neither ours nor a library's.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return shortened(f"{error.filename}:{error.lineno}")
    frames = [(file, line) for file, line in _frames(error.__traceback__) if is_project_file(file)]
    return shortened(f"{frames[-1][0]}:{frames[-1][1]}") if frames else ""


def shortened(place: str) -> str:
    """Return *place* (a path and a line) relative to the current directory, if it is inside."""
    path, _, line = place.rpartition(":")
    if path and Path(path).is_relative_to(Path.cwd()):
        path = str(Path(path).relative_to(Path.cwd()))
    return f"{path}:{line}" if path else place


def _frames(chain: TracebackType | None) -> Iterator[tuple[str, int]]:
    while chain is not None:
        yield chain.tb_frame.f_code.co_filename, chain.tb_lineno
        chain = chain.tb_next


def is_project_file(file: str) -> bool:
    """Return whether *file* is the project's own: neither ours nor a library's."""
    is_library = file.startswith((*LIBRARIES, "<")) or any(f"/{name}/" in file for name in PACKAGE_FOLDERS)
    # A compiled library's frames have the paths of the machine that compiled it, such as `uvloop/loop.pyx`.
    return not is_library and not file.endswith((".pyx", ".pxd", ".pxi")) and not _is_ours(file)


def _is_ours(file: str) -> bool:
    return file.startswith((PACKAGE, "<frozen importlib", "<frozen runpy")) or file.endswith("/importlib/__init__.py")
