"""The path of a unix socket belongs to the server that made it."""

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from torngas_aio.exception import ConfigError
from torngas_aio.http import unix_sockets
from torngas_aio.http.unix_sockets import UnixListener


def test_a_server_that_stops_leaves_its_successor_s_path_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = UnixListener(str(path), backlog=1)
    path.unlink()
    second = UnixListener(str(path), backlog=1)
    first.socket.close()
    first.remove()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    second.socket.close()
    second.remove()
    second.remove()
    assert not path.exists()


@pytest.mark.parametrize("first_closes", [True, False])
def test_a_successor_that_got_the_same_inode_is_told_apart(tmp_path: Path, first_closes: bool) -> None:
    """A file system may give the number of a file that was removed to the next one."""
    path = tmp_path / "s"
    first = UnixListener(str(path), backlog=1)
    if first_closes:
        first.socket.close()
    path.unlink()
    if not first_closes:
        first.socket.close()
    second = UnixListener(str(path), backlog=1)
    first.remove()
    assert path.is_socket()
    second.socket.close()


def test_a_change_of_owner_or_mode_makes_no_other_file_of_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = UnixListener(str(path), backlog=1)
    path.chmod(0o600)
    listener.socket.close()
    listener.remove()
    assert not path.exists()


def test_another_kind_of_file_that_took_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = UnixListener(str(path), backlog=1)
    listener.socket.close()
    path.unlink()
    path.write_text("precious")
    listener.remove()
    assert path.read_text() == "precious"


def test_a_server_whose_backlog_is_full_is_alive(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    first = UnixListener(path, backlog=0)
    clients = []
    try:
        for _ in range(8):
            client = socket.socket(socket.AF_UNIX)
            clients.append(client)
            client.setblocking(False)
            client.connect(path)
    except BlockingIOError:
        pass
    with pytest.raises(ConfigError, match="a server may be listening there"):
        UnixListener(path, backlog=1)
    for each in (*clients, first.socket):
        each.close()
    UnixListener(path, backlog=1).socket.close()


def test_a_socket_of_another_kind_is_not_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(ConfigError, match="a server may be listening there"):
            UnixListener(path, backlog=1)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_its_mode_is_the_one_asked_for(tmp_path: Path, mode: int) -> None:
    listener = UnixListener(str(tmp_path / "s"), backlog=1, mode=mode)
    assert (tmp_path / "s").stat().st_mode & 0o777 == mode
    listener.socket.close()


@pytest.mark.parametrize("has_dead_one", [False, True])
@pytest.mark.parametrize(("owner", "step"), [(unix_sockets, "_refuse_live"), (Path, "chmod")])
def test_of_two_servers_that_start_at_the_same_time_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str, has_dead_one: bool
) -> None:
    """A second one that starts while the first is at *step* is refused, and the first one is reached."""
    path = tmp_path / "s"
    if has_dead_one:
        UnixListener(str(path), backlog=1).socket.close()
    original: Callable[..., object] = getattr(owner, step)
    others: list[threading.Thread] = []
    second: list[object] = []

    def start_second() -> None:
        try:
            second.append(UnixListener(str(path), backlog=8))
        except ConfigError as exc:
            second.append(exc)

    def pause(*arguments: object) -> object:
        result = original(*arguments)
        if not others:
            others.append(threading.Thread(target=start_second))
            others[0].start()
            others[0].join(0.3)
        return result

    monkeypatch.setattr(owner, step, pause)
    first = UnixListener(str(path), backlog=8)
    for thread in others:
        thread.join()
    assert not others or "another server listens there" in str(second[0])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        first.socket.accept()[0].close()
    first.socket.close()


def test_a_foreign_lock_holds_nothing_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_sockets, "_LOCK_SECONDS", 0.05)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    listener = UnixListener(str(tmp_path / "s"), backlog=1)
    os.close(folder)
    listener.socket.close()
    listener.remove()


def test_the_path_is_removed_from_whatever_folder_the_program_has_gone_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listener = UnixListener("s", backlog=1)
    monkeypatch.chdir("/")
    listener.socket.close()
    listener.remove()
    assert not (tmp_path / "s").exists()


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    """What a dead server left behind does not stop the next one."""
    path = str(tmp_path / "app.sock")
    UnixListener(path, backlog=8).socket.close()
    again = UnixListener(path, backlog=8).socket
    assert Path(path).stat().st_mode & 0o777 == 0o660
    again.close()


def test_a_unix_socket_in_use_is_a_clear_error(tmp_path: Path) -> None:
    """The live server keeps it."""
    path = str(tmp_path / "app.sock")
    first = UnixListener(path, backlog=8).socket
    with pytest.raises(ConfigError, match="another server listens there"):
        UnixListener(path, backlog=8)
    first.close()


def test_a_unix_path_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    """A missing directory, and a file that is no socket, which is left alone."""
    with pytest.raises(ConfigError, match="directory that exists"):
        UnixListener(str(tmp_path / "missing" / "app.sock"), backlog=8)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match="is free"):
        UnixListener(str(tmp_path / "file"), backlog=8)
    assert (tmp_path / "file").read_text() == "precious"
