"""What can be run on a clone: `bash .ci/nox NAME`, each in an environment of its own, under .nox/.

    demo      serve examples/helloworld on port 8000        lint      ruff: rules and format
    tests     the whole suite on real servers, each Python  typing    mypy, strict; pyright
    coverage  the same, with branch coverage                docs      the documentation site
    soak      the long tests, marked slow                   bench     the benchmarks and their rivals
    bounds    stores and servers, with the lowest and the newest versions of bounded libraries
    cluster   hosts in network namespaces, behind nginx, that are stopped, killed and cut off
    contract  the API of examples/tracker under schemathesis, which calls it as its OpenAPI document says
    autobahn  our WebSockets under Autobahn's test suite, which needs CPython 2.7

Begin with `tests`.
"""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "tests"]
nox.options.error_on_missing_interpreters = False  # named, and left out

SERVERS = {
    "redis-server": "redis-server",
    "memcached": "memcached",
    "mariadbd": "mariadb-server",
    "postgres": "postgresql",
    "pgbouncer": "pgbouncer",
    "nginx": "nginx",
    "ip": "iproute2",
}
"""Program that the tests start: the Debian package that holds it."""

FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))))


PYTHONS = nox.project.python_versions(nox.project.load_toml("pyproject.toml"))
"""The versions that the classifiers of pyproject name."""

BOUNDED_TESTS = ["tests/contracts", "tests/db", "tests/cache", "tests/http", "tests/httpmodule", "tests/template"]
"""Where a version that does not fit shows."""


@nox.session
def demo(session: nox.Session) -> None:
    """Serve the example on http://127.0.0.1:8000/; arguments after `--` reach the server."""
    session.install("--quiet", ".")
    command = ["examples/helloworld/runserver.py", "--port=8000", "--address=127.0.0.1", "--settings=settings.setting"]
    session.run("python", *command, *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite, the long tests excepted, on each Python that is here; arguments after `--` reach pytest."""
    _install(session)
    _run_pytest(session, "-m", "not slow", *_workers(), *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the suite and report which branches no test took."""
    _install(session)
    session.env["COVERAGE_FILE"] = str(Path(".coverage").resolve())  # wherever a process is started
    session.run("coverage", "erase")
    # Not by pytest-cov: our plugin for pytest has imported half of the package before that begins to measure.
    _run_pytest(session, "-m", "not slow", *_workers(), *session.posargs, runner=("coverage", "run"))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "html", "--quiet", "--directory=.cache/coverage")
    session.run("coverage", "report")


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long tests."""
    _install(session)
    _run_pytest(session, "-m", "slow", "--timeout=900", *session.posargs)


@nox.session
@nox.parametrize("versions", ["lowest", "newest"])
def bounds(session: nox.Session, versions: str) -> None:
    """Run what stands on private names of libraries, with the ends of the versions that pyproject allows."""
    _apt(session, SERVERS)
    pins = Path(session.create_tmp()) / "constraints.txt"
    pins.write_text("".join(f"{line}\n" for line in _lowest()) if versions == "lowest" else "", encoding="utf-8")
    session.install("--quiet", "--upgrade", "--upgrade-strategy=eager", "--editable", ".[dev]", "-c", str(pins))
    _run_pytest(session, "-m", "not slow", *_workers(), *(session.posargs or BOUNDED_TESTS))


@nox.session
def cluster(session: nox.Session) -> None:
    """Run the laboratory: nodes behind nginx, stores that fail, visitors that check; needs root."""
    _install(session)
    _run_pytest(session, "--timeout=900", "tests/cluster", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check rules and format of every file."""
    session.install("--quiet", *_requirements("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types: package and tests by mypy, the package by pyright too, if that can fetch its program."""
    _install(session, system=False)
    session.run("mypy")
    version = session.run("pyright", "--version", silent=True, success_codes=range(256))
    if str(version).startswith("pyright"):
        session.run("pyright")
    else:
        session.warn("pyright is left out: its program is not to be had here.")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; `-- serve` shows it on port 8001."""
    session.install("--quiet", ".[all,docs]")
    if "serve" in session.posargs:
        session.run("mkdocs", "serve", "--dev-addr=127.0.0.1:8001")
    else:
        session.run("mkdocs", "build", "--strict")


@nox.session(python=["3.11", "3.13"])
def bench(session: nox.Session) -> None:
    """Check that all applications answer the same, then measure; arguments after `--` choose what."""
    _apt(session, {"wrk": "wrk", "openssl": "openssl"})
    session.install("--quiet", "--editable", ".[dev]", "-r", "benchmarks/requirements.txt")
    _run_pytest(session, "tests/benchmarks/test_applications.py")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Call each operation of an example with 200 made-up requests, valid and not, and by a generated client."""
    _install(session, system=False)
    tools = Path(session.create_tmp()).resolve() / "tools"  # apart: they have bounds of their own for hypothesis
    if not (tools / "bin" / "schemathesis").exists():
        session.run("python", "-m", "venv", str(tools))
        programs = ("schemathesis==4.32.5", "openapi-python-client==0.29.1")
        session.run(f"{tools}/bin/pip", "install", "--quiet", *programs, external=True)
    command = ["python", "-m", "pytest", "-m", "slow", "--timeout=900", "tests/examples/test_tracker.py"]
    session.run(*command, *session.posargs, env={"CONTRACT_TOOLS": f"{tools}/bin"})


@nox.session
def autobahn(session: nox.Session) -> None:
    """Run all 517 cases of Autobahn's suite against our server; 25 minutes. PYTHON27 names the interpreter."""
    _install(session, system=False)
    old, folder = os.environ.get("PYTHON27", "python2.7"), Path(session.create_tmp()).resolve()
    tools, suite = str(folder / "tools"), folder / "suite"
    if not (suite / "bin" / "wstest").exists():
        session.run(old, "-m", "pip", "install", "--quiet", "--target", tools, "virtualenv<20.22", external=True)
        session.run(old, "-m", "virtualenv", str(suite), env={"PYTHONPATH": tools}, external=True)
        session.run(f"{suite}/bin/pip", "install", "--quiet", "autobahntestsuite==25.10.1", external=True)
    command = ["python", "-m", "pytest", "-s", "-m", "slow", "tests/http/test_autobahn.py", *session.posargs]
    session.run(*command, env={"WSTEST": f"{suite}/bin/wstest"})


def _install(session: nox.Session, *, system: bool = True) -> None:
    """The package as it will be developed, with everything that it can use."""
    if system:
        _apt(session, SERVERS)
    session.install("--quiet", "--editable", ".[dev]")


def _run_pytest(session: nox.Session, *arguments: str, runner: Sequence[str] = ("python",)) -> None:
    # Python 3.11 can lose count while it parses sources (cpython#106905), and pytest's own report of a failure with it.
    version = str(session.python) if isinstance(session.python, str) else f"3.{sys.version_info.minor}"
    report = ["--tb=native"] if version == "3.11" else []
    session.run(*runner, "-m", "pytest", *report, *arguments, env={"CI": "1"} if _is_root() else {})


def _workers() -> list[str]:
    """Three test processes: many tests wait. A test module stays in one of them, for it shares its servers."""
    return ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]  # tests/conftest.py orders them


def _requirements(name: str) -> list[str]:
    """The line of the `dev` extra that asks for *name*."""
    extras = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    return [line for line in extras["dev"] if line.startswith(name)]


def _lowest() -> list[str]:
    """`name==lowest` for each requirement of the package that has an upper bound."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    found = (re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+),<", line) for line in lines)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in found if bound})


def _apt(session: nox.Session, programs: dict[str, str]) -> None:
    """Install the Debian packages of programs that are missing, where that is allowed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    missing = sorted({package for program, package in programs.items() if shutil.which(program, path=path) is None})
    if not missing:
        return
    if not _is_root() or shutil.which("apt-get") is None:
        session.warn(f"Not installed: {' '.join(missing)}. What needs them will be skipped.")
        return
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    session.run("apt-get", "update", "-qq", external=True)
    session.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, external=True, env=environment)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
