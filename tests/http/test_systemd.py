"""sd_notify and socket activation. What a running server says is in tests/webserver/test_renewals.py."""

import os
import socket
from pathlib import Path

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.http.systemd import ServiceManager, inherited_sockets


def test_without_a_manager_nothing_is_sent() -> None:
    manager = ServiceManager()
    manager.ready("it serves")
    manager.stopping()
    assert manager.watchdog_seconds == 0
    assert manager.hand_over() == {}


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_manager_s_socket_may_be_abstract(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_abstract: bool
) -> None:
    name = f"@torngas-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        manager = ServiceManager()
        assert "NOTIFY_SOCKET" not in os.environ  # a process that is started from here is not the service
        manager.ready("it serves")
        assert listening.recv(100) == b"READY=1\nSTATUS=it serves"
        assert manager.hand_over() == {"NOTIFY_SOCKET": name}


def test_a_manager_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    ServiceManager().ready("it serves")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [("3000000", "", 1.5), ("3000000", "own", 1.5), ("3000000", "1", 0), ("-1", "", 0), ("x", "", 0), ("٣", "", 0)],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str, seconds: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert ServiceManager().watchdog_seconds == seconds


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("own", "0"), ("own", "x"), ("own", "-1"), ("", "1")])
def test_sockets_of_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch, pid: str, count: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert inherited_sockets() == []


def test_a_descriptor_that_is_not_open_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torngas_aio.http.systemd._FIRST_DESCRIPTOR", 1_000_000)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(ConfigError, match="LISTEN_FDS=2: descriptor 1000000 is not a listening socket"):
        inherited_sockets()
