"""Search, reading and atomic replacement of a project's files."""

import io
import os
import subprocess
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

from torngas_aio.cli.awaits import project_files
from torngas_aio.exception import ConfigError

__all__ = ["find_files", "is_dirty", "read", "write"]

TEMPLATES = {".html", ".htm", ".mako", ".mak", ".tmpl", ".jinja", ".jinja2", ".j2", ".tpl"}


def find_files(root: Path) -> Iterator[Path]:
    """Yield the Python files and templates under *root*; symbolic links, hidden folders and environments are skipped.

    Raises:
        ConfigError: A folder cannot be read.
    """
    if root.is_file():
        yield root
        return
    try:
        yield from project_files(root, (".py", *TEMPLATES))
    except OSError as exc:
        raise ConfigError(f"{exc.filename or root}: {exc.strerror}.", code="TGA803") from exc


def read(path: Path) -> tuple[str, str, str]:
    """Return the text of *path* with `\\n` line ends, its encoding and its original line end.

    Raises:
        UnicodeError, SyntaxError: The content does not match the declared encoding.
        OSError: The file cannot be read.
    """
    content = path.read_bytes()
    encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0] if path.suffix == ".py" else "utf-8"
    newline = "\r\n" if b"\r\n" in content else "\n"
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n"), encoding, newline


def write(path: Path, text: str, encoding: str, newline: str) -> None:
    """Replace *path* atomically, keeping its mode.

    Raises:
        ConfigError: The file cannot be written; it is unchanged.
    """
    try:
        _replace(path, text.replace("\n", newline).encode(encoding))
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}. Files before it have been changed.", code="TGA803") from exc


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).chmod(path.stat().st_mode & 0o7777)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_dirty(root: Path) -> bool:
    """Whether *root* is in a git repository and has uncommitted changes."""
    folder = root if root.is_dir() else root.parent
    command = ["git", "-C", str(folder), "status", "--porcelain", "--", str(root)]
    environment = {name: value for name, value in os.environ.items() if name not in ("GIT_DIR", "GIT_WORK_TREE")}
    try:
        # core.fsmonitor may name a program of the project, which git would run
        command[1:1] = ["-c", "core.fsmonitor=false"]
        done = subprocess.run(command, capture_output=True, check=False, env=environment, timeout=60)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())
