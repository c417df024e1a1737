"""The files for deployment that startproject makes: the programs that they are for take them, and they fit together."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.polling import wait_until
from tests.webserver.project import Project, RunningServer
from torngas_aio.checks.deployment import deploy_file_cautions
from torngas_aio.cli import main

pytestmark = pytest.mark.timeout(120)

SECRETS = {
    "COOKIE_SECRET": "one-long-and-random-secret-of-this-test",
    "SECRET_KEY": "two-long-and-random-secret-of-this-test",
}
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
ANALYZE = shutil.which("systemd-analyze")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _steps(project: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments."""
    text = (project / "Dockerfile").read_text().replace("\\\n", " ")
    return [tuple(line.split(" ", 1)) for line in text.splitlines() if line and not line.startswith("#")]  # type: ignore[misc]


def _command(project: Path, name: str) -> list[str]:
    """The words of the last CMD, or of the HEALTHCHECK's."""
    words = next(arguments for step, arguments in reversed(_steps(project)) if step == name)
    found: list[str] = yaml.safe_load(words[words.index("[") :])
    return found


@contextlib.contextmanager
def _served(project: Path, port: int, **environment: str) -> Iterator[RunningServer]:
    """Run the Dockerfile's command, on this machine's *port*, until all workers serve."""
    words = [word.replace("0.0.0.0", "127.0.0.1").replace("8000", str(port)) for word in _command(project, "CMD")]
    assert words[0] == "python"
    environment = {"TORNGAS_APP_SETTINGS": "settings.setting_online", **SECRETS, **environment}
    with RunningServer(Project(project), words[1:], environment) as server:
        wait_until(lambda: server.log.count(" is ready") >= 2 or server.process.poll() is not None)
        assert server.process.poll() is None, server.log
        yield server


def test_the_container_serves_and_its_health_check_tells(project: Path) -> None:
    """Not as root, without secrets in the image, all lines on stderr; the check fails once nothing answers."""
    steps = _steps(project)
    assert ("USER", "app") in steps
    assert [step for step, _ in steps].index("CMD") > steps.index(("USER", "app"))
    assert {".env", ".venv", ".git"} <= set((project / ".dockerignore").read_text().split())
    assert not any("SECRET" in arguments for _, arguments in steps)
    for step, arguments in steps:
        if step == "COPY" and not arguments.startswith("--from"):
            assert all((project / source).exists() for source in arguments.split()[:-1])
    port = _free_port()
    check = [*_command(project, "HEALTHCHECK")[1:], str(port)]
    with _served(project, port, ALLOWED_HOSTS="example.com") as server:
        assert Project(project).run(*check).returncode == 0
        server.terminate()
        assert server.wait() == 0, server.log
    assert "GET /-/live" in server.log
    assert not list((project / "logs").glob("*.log*"))
    assert Project(project).run(*check).returncode == 1


def test_its_requirements_are_the_package_s_extras(project: Path) -> None:
    """`pip install .[online]` finds no modules to install, and extras that there are."""
    made = tomllib.loads((project / "pyproject.toml").read_text())
    ours = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = re.findall(r"torngas-aio\[([\w,]+)\]", str(made["project"]["optional-dependencies"]))
    assert {extra for found in extras for extra in found.split(",")} <= set(ours["project"]["optional-dependencies"])
    assert made["tool"]["setuptools"] == {"py-modules": []}


def test_compose_holds_services_that_fit(project: Path) -> None:
    compose = yaml.safe_load((project / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"web", "nginx", "database", "redis"}
    example = dict(
        line.split("=", 1) for line in (project / ".env.example").read_text().splitlines() if line[:1].isupper()
    )
    assert "@database:3306/" in example["DATABASE_URL"]
    assert "//redis:6379" in example["REDIS_URL"]
    assert all(name in example for name in re.findall(r"\$\{(\w+)", (project / "compose.yaml").read_text()))
    assert example["COOKIE_SECRET"] == example["SECRET_KEY"] == example["DATABASE_PASSWORD"] == ""
    assert Path(services["nginx"]["volumes"][0].split(":")[0]) == Path("./deploy/nginx.conf")
    assert set(compose["volumes"]) == {"database", "redis"}
    assert any(word.startswith("--workers") for word in services["web"]["command"])


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
def test_nginx_passes_requests_on(project: Path, tmp_path: Path) -> None:
    """With the file as it is, but for the ports; the server sees the client's address and scheme."""
    assert NGINX is not None
    front, back = _free_port(), _free_port()
    site = (project / "deploy/nginx.conf").read_text()
    site = site.replace("listen 80;", f"listen 127.0.0.1:{front};").replace("127.0.0.1:8000", f"127.0.0.1:{back}")
    paths = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in
                     ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} "
        f"http {{ access_log off; {paths}\n{site}\n}}"
    )
    with _served(project, back):
        nginx = subprocess.Popen([NGINX, "-e", str(tmp_path / "start.log"), "-c", str(conf)])
        try:
            page = None
            while page is None:
                assert nginx.poll() is None, (tmp_path / "error.log").read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{front}/", timeout=10) as response:
                        page = response.read().decode()
                except urllib.error.URLError:
                    continue
        finally:
            nginx.terminate()
            nginx.wait(20)
    assert "<h1>site-one</h1>" in page


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", ["site-one", "site-one-worker"])
def test_the_unit_is_verified(project: Path, tmp_path: Path, name: str) -> None:
    """`systemd-analyze verify` has nothing to say: unknown keys would be told on stderr, with status 0."""
    assert ANALYZE is not None
    text = (project / f"deploy/{name}.service").read_text()
    root = tmp_path / "srv"
    (root / "current/.venv/bin").mkdir(parents=True)
    for program in ("python", "torngas-aio"):
        (root / "current/.venv/bin" / program).symlink_to(sys.executable)
    unit = tmp_path / f"{name}.service"
    unit.write_text(text.replace("/srv/site-one", str(root)))
    done = subprocess.run([ANALYZE, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("Restart=", "Restrat="))
    done = subprocess.run([ANALYZE, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert "Restrat" in done.stderr  # the check above would see it


def test_secrets_come_from_files(project: Path, tmp_path: Path) -> None:
    files = {}
    for name, value in {**SECRETS, "REDIS_URL": "redis://127.0.0.1:1/0"}.items():
        path = tmp_path / name
        path.write_text(value + "\n")
        files[f"{name}_FILE"] = str(path)
    words = ("-m", "torngas_aio", "check", "--settings=settings.setting_online")
    done = Project(project).run(*words, **files)
    assert done.returncode == 0, done.stderr
    done = Project(project).run(*words, **{**files, "COOKIE_SECRET_FILE": str(tmp_path / "none")})
    assert done.returncode == 1
    assert "COOKIE_SECRET_FILE=" in done.stderr


def test_a_new_project_has_nothing_to_mend_before_it_is_deployed(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = Project(project).run(
        "-m", "torngas_aio", "check", "--deploy", "--settings=settings.setting_online",
        ALLOWED_HOSTS="example.com", **SECRETS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "caution" not in done.stdout.replace("0 cautions", "")


def test_jobs_that_nothing_runs_are_told(project: Path) -> None:
    def told() -> list[str]:
        found = deploy_file_cautions(
            project / "deploy", graceful=30.0, shutdown=60.0, request_timeout=60.0, max_body=10 * 2**20, jobs_wait=True
        )
        return list(found)

    assert told() == []
    (project / "deploy/site-one-worker.service").unlink()
    (only,) = told()
    assert "no unit runs `torngas-aio worker`" in only


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("deploy/site-one.service", "TimeoutStopSec=100", "TimeoutStopSec=95", "TimeoutStopSec is 95 s, and a stop"),
        ("deploy/site-one.service", "TimeoutStopSec=100", "TimeoutStopSec=1min", "TimeoutStopSec is 60 s"),
        ("deploy/site-one.service", "--drain_seconds=5", "--drain-seconds 20", "a stop may take 110 s"),
        ("deploy/site-one.service", "--drain_seconds=5", "--graceful_timeout=90", "a stop may take 150 s"),
        ("deploy/nginx.conf", "client_max_body_size 10m;", "client_max_body_size 512k;", "client_max_body_size is 5"),
        ("deploy/nginx.conf", "client_max_body_size 10m;", "", "is 1048576 bytes (nginx by itself)"),
        ("deploy/nginx.conf", "proxy_read_timeout 75s", "proxy_read_timeout 1m", "proxy_read_timeout is 60 s"),
        ("deploy/nginx.conf", "proxy_read_timeout 75s", "proxy_read_timeout 30", "proxy_read_timeout is 30 s"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(
    project: Path, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, told: str
) -> None:
    path = project / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert main(["check", "--deploy"]) == 0
    assert told in capsys.readouterr().out


def test_workers_of_the_unit_count(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sessions inside one process do not fit them."""
    setting = project / "settings/setting.py"
    setting.write_text(setting.read_text().replace(
        "MIDDLEWARE_CLASSES = (", 'MIDDLEWARE_CLASSES = (\n    "torngas_aio.middleware.session.SessionMiddleware",'
    ))  # fmt: skip
    assert main(["check", "--deploy"]) == 0
    assert "2 workers are going to serve" in capsys.readouterr().out
