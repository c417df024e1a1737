"""The socket that `torngas-aio ps` asks."""

import os
import socket
import threading
from pathlib import Path

import pytest

from torngas_aio.http.status_socket import StatusSocket, ask_all


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / f"torngas_aio-{os.getuid()}"


def test_it_answers_its_user_and_goes(folder: Path) -> None:
    with StatusSocket() as status:
        assert status.socket is not None
        assert folder.stat().st_mode & 0o777 == 0o700
        status.socket.setblocking(True)
        answering = threading.Thread(target=status.answer, args=({"pid": 7, "workers": []},))
        answering.start()
        assert list(ask_all()) == [{"pid": 7, "workers": []}]
        answering.join()
    assert list(folder.iterdir()) == []
    assert list(ask_all()) == []


def test_what_a_dead_server_has_left_is_removed(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "1.sock"))
    assert list(ask_all()) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o750])
def test_a_folder_that_others_can_enter_is_not_used(folder: Path, mode: int) -> None:
    """Serving goes on without the socket."""
    folder.mkdir()
    folder.chmod(mode)
    with StatusSocket() as status:
        assert status.socket is None
    assert list(ask_all()) == []


def test_a_link_in_its_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")
    with StatusSocket() as status:
        assert status.socket is None
