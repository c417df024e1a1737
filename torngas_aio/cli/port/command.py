"""The commands `torngas-aio port PATH` and `torngas-aio migrate`."""

import argparse
import ast
import difflib
import importlib.util
import multiprocessing
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path

from torngas_aio.cli.awaits import module_of
from torngas_aio.cli.port import templates, tree
from torngas_aio.cli.port.awaiting import await_calls
from torngas_aio.cli.port.calls import Project
from torngas_aio.cli.port.findings import CODES, Finding, find_in_module
from torngas_aio.cli.port.parts import engine_of
from torngas_aio.cli.port.python2 import convert_source, find_syntax_error, futures_of, parse, version_of
from torngas_aio.cli.port.reports import report_calls
from torngas_aio.cli.port.rewriting import OURS, REWRITES, rewrite
from torngas_aio.cli.port.summary import Module, summarize
from torngas_aio.cli.port.testcases import mend_tests
from torngas_aio.exception import ArgumentError, ConfigError

__all__ = ["Migrate", "Port"]

TRANSFORMS = ("python2", *REWRITES, "await")
ENGINE_SETTING = re.compile(r"""(?m)^[^#\n]*['"]template_engine['"]\s*:\s*['"]([\w.]+)""")
OLD_IMPORT = re.compile(r"(?m)^[ \t]*(?:from|import)[ ]torngas\b")
"""Import of torngas 1.8, which ran in Python 2 only."""

IMPORTS = re.compile(r"(?m)^[ \t]*(?:from|import)[ \t]+(\w[\w., \t]*)")

POOL_FROM = 40
"""Number of files from which several processes are faster than one."""


@dataclass
class _File:
    """One file: its original text, its converted text, its summary and findings.

    Attributes:
        name: Path relative to the project's folder.
        text: The original text.
        made: The converted text.
        engine: Template engine; empty for Python files.
    """

    path: Path
    name: str
    text: str = ""
    made: str = ""
    encoding: str = "utf-8"
    newline: str = "\n"
    module: Module | None = None
    engine: str = ""
    findings: list[Finding] = field(default_factory=list[Finding])

    def summarize(self, known: ast.Module | None = None) -> None:
        """Update the summary of the Python file; *known* is its syntax tree, if it is parsed already."""
        found = known or parse(self.made)
        assert found is not None
        self.module = summarize(found, self.name, module_of(Path(self.name), Path()))


@dataclass(frozen=True, slots=True)
class _Origin:
    """The Python version and the framework of a project, by the majority of its files.

    Attributes:
        is_python2: Python 2 only. Files of unknown version are converted as well.
        is_python3: Python 3, or both. Only files for Python 2 are converted, and no import is made relative.
        is_plain: Tornado, without torngas.
        scripts: Folders whose modules are imported by a script beside them, and never as a package.
        starts: Such scripts in packages that other files import.
    """

    is_python2: bool
    is_python3: bool
    is_plain: bool
    scripts: frozenset[Path]
    starts: frozenset[Path]


_Look = tuple[int, bool, bool, bool, set[str], Path | None]


class Port:
    """Change a torngas 1.8 or Tornado 4/5 project, in Python 2 or 3, into one for torngas_aio.

    Prints the changes as a unified diff; `--write` writes them to the files. Places to change by hand are listed with
    codes; docs/migration/codes.md explains each. The project is read, never imported or run.
    """

    help = "change a torngas 1.8 or Tornado project into one for torngas_aio"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("path", help="the project's folder, from which it imports its modules; or one file")
        parser.add_argument("--write", action="store_true", help="change the files in place")
        parser.add_argument("--force", action="store_true", help="with --write: also where git has uncommitted changes")
        parser.add_argument(
            "--skip", action="append", default=[], choices=TRANSFORMS, metavar="NAME",
            help=f"leave a kind of change out; may be repeated: {', '.join(TRANSFORMS)}",
        )  # fmt: skip
        parser.add_argument("--no-diff", action="store_true", help="show the report only")
        parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per CPU)")

    def run(self, arguments: argparse.Namespace) -> int:
        """Convert the project and print the findings.

        Raises:
            ArgumentError: There is no such folder, or `--jobs` is below 1.
            ConfigError: fissix is not installed, or git has uncommitted changes here.
        """
        root = Path(arguments.path).resolve()
        if not root.exists():
            raise ArgumentError(f"port {arguments.path!r}: no such file or folder.")
        if arguments.jobs < 1:
            raise ArgumentError(f"port --jobs={arguments.jobs}: at least 1.")
        if importlib.util.find_spec("fissix") is None and "python2" not in arguments.skip:
            raise ConfigError(
                "`torngas-aio port` needs fissix: pip install 'torngas-aio[port]'; or --skip python2.", code="TGA105"
            )
        if arguments.write and not arguments.force and tree.is_dirty(root):
            raise ConfigError(
                f"{arguments.path}: git has uncommitted changes here. Commit them first, or say --force.", code="TGA803"
            )
        base = root if root.is_dir() else root.parent
        files, origin = _read_all(sorted(tree.find_files(root)), base, arguments.skip, arguments.jobs)
        _convert_templates(files, arguments.skip, origin)
        findings: list[Finding] = []
        names = frozenset[str]()
        if "await" not in arguments.skip:
            findings, names = _await_all(files, origin)
        reads = _reads(files)
        for file in files:
            findings += file.findings
            if file.module is not None and (found := parse(file.made)) is not None:
                findings += find_in_module(found, file.made, file.name, reads, is_plain=origin.is_plain)
            if file.engine:
                findings += templates.find_in_template(file.made, file.engine, file.name, names)
        if any("signed-pickle" in file.made for file in files):  # it stores the values that JSON cannot
            findings = [found for found in findings if found.code != "TGM307"]
        changed = [file for file in files if file.made != file.text]
        _finish(changed, arguments)
        _report(findings, len(changed), files, is_written=arguments.write)
        return 0


class Migrate:
    """An ambiguous command: `db upgrade` or `port`."""

    help = "ambiguous: use `db upgrade` or `port`"
    takes_rest = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("rest", nargs="*", help="not used")

    def run(self, arguments: argparse.Namespace) -> int:
        """Refuse the command, naming the two that may be meant.

        Raises:
            ArgumentError: Always.
        """
        raise ArgumentError(
            "migrate: `torngas-aio db upgrade` or `torngas-aio port`? The first applies database migrations, "
            "the second changes a torngas 1.8 or Tornado project into one for torngas_aio."
        )


def _read_all(paths: list[Path], root: Path, skipped: list[str], jobs: int) -> tuple[list[_File], _Origin]:
    """Return the files, each read, rewritten on its own and summarized, and the project's origin."""
    count = len(paths)
    if jobs == 1 or count < POOL_FROM:
        origin = _origin_of(map(_look_at, paths))
        return [*_with_progress(map(_read_one, paths, repeat(root), repeat(skipped), repeat(origin)), count)], origin
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        origin = _origin_of(pool.map(_look_at, paths, chunksize=16))
        read = pool.map(_read_one, paths, repeat(root), repeat(skipped), repeat(origin), chunksize=16)
        return [*_with_progress(read, count)], origin


def _look_at(path: Path) -> _Look:
    """Return the file's Python version, whether it mentions tornado, torngas, imports 1.8; its imports; its path.

    The path is set only for a script inside a package that imports other modules of its folder.
    """
    try:
        text = tree.read(path)[0]
    except (OSError, UnicodeError, SyntaxError, LookupError):
        return 0, False, False, False, set(), None
    version = version_of(text) if path.suffix == ".py" else 0
    imports = IMPORTS.findall(text) if path.suffix == ".py" else []
    words = [re.findall(r"\w+", names) for names in imports]
    is_start = "__main__" in text and (path.parent / "__init__.py").is_file()
    is_start = is_start and any((path.parent / f"{each[0]}.py").is_file() for each in words)
    has_old = OLD_IMPORT.search(text) is not None
    return version, "tornado" in text, "torngas" in text, has_old, {*chain(*words)}, path if is_start else None


def _origin_of(looks: Iterable[_Look]) -> _Origin:
    versions, tornado, torngas, old, words, paths = zip(*looks, strict=True) if (looks := [*looks]) else ((),) * 6
    is_python2 = versions.count(2) > versions.count(3) or (any(old) and 3 not in versions)
    imported, starts = set[str]().union(*words), {path for path in paths if path is not None}
    scripts = frozenset(path.parent for path in starts if path.parent.name not in imported)
    in_packages = frozenset(path for path in starts if path.parent not in scripts)
    is_plain = any(tornado) and not any(torngas)
    return _Origin(is_python2, not is_python2 and 3 in versions, is_plain, scripts, in_packages)


def _with_progress(files: Iterable[_File], count: int) -> Iterator[_File]:
    is_shown = sys.stderr.isatty() and count >= POOL_FROM
    for number, file in enumerate(files, 1):
        if is_shown and (number % 20 == 0 or number == count):
            bar = "#" * (30 * number // count)
            sys.stderr.write(f"\r[{bar:<30}] {number}/{count}" + ("\n" if number == count else ""))
            sys.stderr.flush()
        yield file


def _read_one(path: Path, root: Path, skipped: list[str], origin: _Origin) -> _File:
    file = _File(path, str(path.relative_to(root)))
    try:
        file.text, file.encoding, file.newline = tree.read(path)
    except (OSError, UnicodeError, SyntaxError, LookupError) as exc:
        file.findings.append(Finding(file.name, 1, "TGM101", f"It cannot be read, and is left alone: {exc}"))
        return file
    file.made = file.text
    if path.suffix != ".py":
        return file
    is_converted = "python2" not in skipped and (origin.is_python2 or version_of(file.text) == 2)
    made = convert_source(file.text) if is_converted else file.text
    found = None if made is None else parse(made)
    if made is None or found is None:
        line, word = find_syntax_error(file.text)
        at = f" at `{word}`" if word else ""
        file.findings.append(Finding(file.name, line, "TGM101", f"Neither Python 3 nor 2{at}: the file is left alone."))
        return file
    is_absolute = origin.is_python3 or "absolute_import" in futures_of(file.text) or path.parent in origin.scripts
    if path in origin.starts and path.parent != root and not is_absolute:
        name = file.name.removesuffix(".py").replace("/", ".")
        advice = f"Other files import its package: its imports are relative now. Start it as `python -m {name}`."
        file.findings.append(Finding(file.name, 1, "TGM102", advice))
    left_out = [*skipped, *(OURS if origin.is_plain else ()), *(["relative-imports"] if is_absolute else ())]
    file.made = rewrite(made, path, root, left_out)
    file.summarize(found if file.made == made else None)
    return file


def _convert_templates(files: list[_File], skipped: list[str], origin: _Origin) -> None:
    """Detect each template's engine and, in a Python 2 project, convert its code to Python 3."""
    settings = [found[1].lower() for file in files if (found := ENGINE_SETTING.search(file.text))]
    default = next((name for name in ("jinja2", "mako") if any(name in each for each in settings)), "tornado")
    pages = [file for file in files if file.path.suffix != ".py" and not file.findings]
    for file in pages:
        file.engine = engine_of(file.text, file.path.suffix, default)
    if "python2" in skipped:
        return
    old = {file.name for file in pages if templates.reads_as_python2(file.text, file.engine)}
    for file in pages:
        if file.name in old or origin.is_python2 or (old and not origin.is_python3):
            file.made, file.findings = templates.convert(file.text, file.engine, file.name)


def _reads(files: list[_File]) -> dict[str, list[str]]:
    """Return the places that read each attribute name, in Python files and templates."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        places = {(name, line) for name, line, _ in file.module.reads} if file.module else set[tuple[str, int]]()
        for number, content in enumerate(file.made.split("\n"), 1) if file.engine else ():
            code = re.findall(r"\{[{%].*?[}%]\}|\$\{.*?\}|^\s*%.*", content)
            places |= {(name, number) for name in re.findall(r"\.(\w+)", " ".join(code))}
        for name, line in sorted(places, key=lambda place: place[1]):
            found[name].append(f"{file.name}:{line}")
    return found


def _await_all(files: list[_File], origin: _Origin) -> tuple[list[Finding], frozenset[str]]:
    """Insert `async` and `await` into the files; return the findings, and the names that templates must await."""
    before = [file.made for file in files]
    project = _write_awaits(files, origin)
    changed = [file for file, text in zip(files, before, strict=True) if file.made != text]
    for file in changed:
        file.summarize()
    if changed:
        project = _write_awaits(files, origin)
    cases = project.test_cases()
    for file in files:
        kinds = {name: kind for (path, name), kind in cases.items() if path == file.name}
        made, found = mend_tests(file.made, kinds, file.name) if kinds else (file.made, [])
        if made != file.made and parse(made) is not None:
            file.made = made
        project.findings += found
    names = project.names_in_templates()
    for file in [each for each in files if each.engine]:
        file.made = templates.await_calls(file.made, file.engine, names)
    return project.findings, names


def _write_awaits(files: list[_File], origin: _Origin) -> Project:
    """Insert `async` and `await` into the files, to a fixpoint over the project; return it with its findings."""
    modules = [file.module for file in files if file.module is not None]
    project = Project(modules, is_python2=origin.is_python2, is_plain=origin.is_plain)
    project.solve()
    project.findings += report_calls(project)
    for file in files:
        own = file.module.functions if file.module is not None else {}
        functions = {
            each.line for name, each in own.items()
            if name and not each.is_async and (file.name, name) in project.coroutines
        }  # fmt: skip
        uses = [use for name in own if name for use in project.awaited.get((file.name, name), [])]
        main = project.awaited.get((file.name, ""), [])
        if functions or uses or main:
            is_script = bool(main) and not project.names.is_imported(file.name)
            made, found = await_calls(
                file.name, file.made, functions, uses, main,
                is_script=is_script, is_python2=origin.is_python2, is_plain=origin.is_plain,
            )  # fmt: skip
            if parse(made) is not None:
                file.made = made
                project.findings += found
            else:
                advice = "`async` and `await` cannot be written here. Write them by hand: see `torngas-aio check`."
                project.findings.append(Finding(file.name, 1, "TGM101", advice))
    return project


def _finish(changed: list[_File], arguments: argparse.Namespace) -> None:
    for file in changed:
        if not arguments.write and not arguments.no_diff:
            before, after = file.text.splitlines(keepends=True), file.made.splitlines(keepends=True)
            for line in difflib.unified_diff(before, after, f"a/{file.name}", f"b/{file.name}"):
                sys.stdout.write(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
        if arguments.write:
            tree.write(file.path, file.made, file.encoding, file.newline)


def _report(findings: list[Finding], changed: int, files: list[_File], *, is_written: bool) -> None:
    for found in sorted(set(findings)):
        print(f"{found.path}:{found.line}: {found.code} {found.text}")
    counts = {code: sum(found.code == code for found in set(findings)) for code in CODES}
    for code, count in counts.items():
        if count:
            print(f"  {count:>4} {code} {CODES[code]}")
    lines = sum(file.text.count("\n") for file in files if file.path.suffix == ".py")
    done = "changed" if is_written else "would change; --write changes them"
    print(f"{len(files)} files, {lines} lines of Python: {changed} {done}. {len(set(findings))} places left to you.")
