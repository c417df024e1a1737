"""The server processes, on which the fault tests of the stores rely."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.polling import wait_until
from tests.services.process import HOST, ServerProcess, accepts, binary, claims, free_port


def served(port: int) -> ServerProcess:
    return ServerProcess(
        "http",
        lambda folder: [sys.executable, "-m", "http.server", str(port), "--bind", HOST, "--directory", str(folder)],
        lambda: accepts((HOST, port)),
    )


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int) -> Iterator[ServerProcess]:
    with served(port) as running:
        yield running


def test_another_process_gets_other_ports() -> None:
    """Ports stay claimed, listening or not, until the process that has claimed them ends."""
    give = "import sys; from tests.services.process import free_port; print(free_port(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", give], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert not claims(port)
        other.stdin.close()
    assert claims(port)
    assert not claims(port), "claimed by this process now"


def test_a_killed_server_comes_back_on_its_port(server: ServerProcess, port: int) -> None:
    first = server.pid
    server.kill()
    assert not server.is_running
    assert not accepts((HOST, port))
    server.start()
    assert server.pid != first
    assert accepts((HOST, port))


def test_a_paused_server_can_be_resumed_and_stopped(server: ServerProcess, port: int) -> None:
    server.pause()
    server.resume()
    server.pause()
    server.stop()
    assert not accepts((HOST, port))


def test_closing_removes_process_and_folder(port: int) -> None:
    server = served(port)
    seen: list[int] = []

    def failing_test() -> None:
        with server:
            seen.append(server.pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_test()
    assert not server.folder.exists()
    assert not Path(f"/proc/{seen[0]}/cmdline").exists()


def test_a_killed_test_run_leaves_no_server_behind(port: int) -> None:
    program = (
        "import os; from tests.services.test_process import served\n"
        f"server = served({port}); server.start(); print(server.folder, flush=True); os.kill(os.getpid(), 9)"
    )
    command, root = [sys.executable, "-c", program], Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=15)
    assert done.returncode == -9, done.stderr
    folder = Path(done.stdout.strip())
    wait_until(lambda: not folder.exists() and not accepts((HOST, port)))


def test_a_server_that_ends_at_once_says_what_it_wrote() -> None:
    broken = ServerProcess("broken", lambda _: [sys.executable, "-c", "raise SystemExit('no luck')"], lambda: False)
    with pytest.raises(RuntimeError, match="no luck"):
        broken.start()
    broken.close()


def test_a_missing_program_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed"):
        binary("no-such-server")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed"):
        binary("no-such-server", "nor-this")
    assert binary("no-such-server", "sh").endswith("sh")
