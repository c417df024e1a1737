"""One file, many writers: no line lost, none torn, whoever turns, moves or removes the file."""

import errno
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.logger.sharedfile import Period, SharedLogFile

REPOSITORY = Path(__file__).parent.parent.parent

WRITER = """
    import sys, zlib
    from torngas_aio.logger.handlers import ProcessLogTimedFileHandler
    import logging

    path, number, when = sys.argv[1:4]
    lines, buffer_bytes, flush_every = map(int, sys.argv[4:])
    handler = ProcessLogTimedFileHandler(path, when, buffer_bytes=buffer_bytes)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("writer")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel("INFO")
    for count in range(lines):
        if flush_every and count % flush_every == 0:
            handler.flush()
            print(count, flush=True)
        body = f"{number}:{count}:" + "x" * (count * 37 % 300)
        logger.info("%s:%08x", body, zlib.crc32(body.encode()))
    handler.close()
    assert handler.dropped == handler.failed == 0
"""


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def files_of(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.iterdir() if each.name.startswith(path.name))


def start_writer(
    path: Path, number: int, lines: int, *, buffer_bytes: int = 1_000_000, flush_every: int = 0, when: str = "S"
) -> subprocess.Popen[bytes]:
    arguments = [path, number, when, lines, buffer_bytes, flush_every]
    command = [sys.executable, "-c", textwrap.dedent(WRITER), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)


def write_from_processes(path: Path, processes: int, lines: int, **options: Any) -> dict[int, int]:
    for writer in [start_writer(path, number, lines, **options) for number in range(processes)]:
        writer.communicate()
        assert writer.returncode == 0
    return dict.fromkeys(range(processes), lines)


def lines_by_writer(path: Path) -> dict[int, list[int]]:
    """Return the numbers of each writer's lines; every line must be whole."""
    seen: dict[int, list[int]] = defaultdict(list)
    for file in files_of(path):
        content = file.read_bytes()
        assert content.endswith(b"\n")
        for line in content.split(b"\n")[:-1]:
            body, _, crc = line.rpartition(b":")
            assert crc == b"%08x" % zlib.crc32(body), f"torn line in {file.name}: {line[:80]!r}"
            writer, place, _ = body.split(b":")
            seen[int(writer)].append(int(place))
    return seen


def check_every_line(path: Path, counts: dict[int, int]) -> None:
    seen = lines_by_writer(path)
    for number, count in counts.items():
        assert sorted(seen[number]) == list(range(count))


@pytest.mark.parametrize("buffer_bytes", [1_000_000, 0])
def test_eight_processes_lose_and_tear_no_line_while_the_file_turns_each_second(
    tmp_path: Path, buffer_bytes: int
) -> None:
    path = tmp_path / "logs" / "access.log"
    check_every_line(path, write_from_processes(path, 8, 4000, buffer_bytes=buffer_bytes))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["S", "midnight"])
def test_a_burst_of_four_processes_loses_and_tears_nothing(tmp_path: Path, when: str) -> None:
    path = tmp_path / "access.log"
    check_every_line(path, write_from_processes(path, 4, 200_000, buffer_bytes=64 * 1024 * 1024, when=when))


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_killed_process_loses_at_most_what_it_had_gathered(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "access.log"
    writers = [start_writer(path, number, 10_000_000, flush_every=3000) for number in range(2)]
    flushed: dict[int, int] = {}
    for number in range(kills):
        writer = writers[number]
        assert writer.stdout is not None
        for _ in range(2 + number % 3):
            flushed[number] = int(writer.stdout.readline())
        writer.kill()
        writer.communicate()
        writers.append(start_writer(path, number + 2, 10_000_000, flush_every=3000))
    for writer in writers[kills:]:
        writer.kill()
        writer.communicate()
    last = SharedLogFile(path, Period("S"))
    last.write(b"99:0::%08x\n" % zlib.crc32(b"99:0:"))  # cuts what the last kills left
    last.close()
    seen = lines_by_writer(path)
    for number, count in flushed.items():
        assert len(seen[number]) >= count
        assert sorted(seen[number]) == list(range(len(seen[number])))


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (b"whole\nhal", b"whole\n"),
        (b"hal", b""),
        (b"whole\n" + b"x" * 200_000, b"whole\n"),
        (b"x" * 65535, b""),
        (b"a\n\n", b"a\n\n"),
    ],
)
def test_a_line_without_its_end_is_cut_before_the_next(tmp_path: Path, left: bytes, kept: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(left)
    file = SharedLogFile(path, Period("midnight"))
    file.write(b"next\n")
    file.close()
    assert path.read_bytes() == kept + b"next\n"


def test_a_file_turns_once_its_period_has_passed(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "a.log"
    period = Period("M")
    first, second = (SharedLogFile(path, period, clock=clock) for _ in range(2))
    first.write(b"1\n")
    clock.now += 59 - clock.now % 60
    second.write(b"2\n")
    clock.now += 1
    first.write(b"3\n")
    second.write(b"4\n")
    stamp = period.stamp(clock.now - 60)
    assert (tmp_path / f"a.log.{stamp}").read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"3\n4\n"
    first.close()
    second.close()


def test_a_quiet_file_is_named_after_the_period_it_holds(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "a.log"
    file = SharedLogFile(path, Period("H"), clock=clock)
    file.write(b"old\n")
    stamp = Period("H").stamp(clock.now)
    clock.now += 5 * 3600
    file.write(b"new\n")
    assert (tmp_path / f"a.log.{stamp}").read_bytes() == b"old\n"
    file.close()


def test_a_clock_that_goes_back_turns_nothing(tmp_path: Path) -> None:
    clock = Clock()
    file = SharedLogFile(tmp_path / "a.log", Period("M"), clock=clock)
    file.write(b"1\n")
    clock.now -= 3600
    file.write(b"2\n")
    assert (tmp_path / "a.log").read_bytes() == b"1\n2\n"
    file.close()


def test_a_turned_file_never_overwrites_another(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "a.log"
    stamp = Period("M").stamp(clock.now)
    (tmp_path / f"a.log.{stamp}").write_text("older\n")
    file = SharedLogFile(path, Period("M"), clock=clock)
    file.write(b"1\n")
    clock.now += 60
    file.write(b"2\n")
    assert (tmp_path / f"a.log.{stamp}").read_text() == "older\n"
    assert (tmp_path / f"a.log.{stamp}.1").read_text() == "1\n"
    file.close()


def test_a_file_left_by_an_earlier_run_turns_by_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("yesterday\n")
    clock = Clock()
    os.utime(path, (clock.now - 86400, clock.now - 86400))
    file = SharedLogFile(path, Period("midnight"), clock=clock)
    file.write(b"today\n")
    assert path.read_text() == "today\n"
    assert (tmp_path / f"a.log.{Period('midnight').stamp(clock.now - 86400)}").read_text() == "yesterday\n"
    file.close()


def test_a_file_turns_before_it_outgrows_its_size(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "a.log"
    file = SharedLogFile(path, max_bytes=10, clock=clock)
    for number in range(5):
        file.write(b"%d234\n" % number)
    assert [each.read_bytes() for each in files_of(path)] == [b"4234\n", b"0234\n1234\n", b"2234\n3234\n"]
    file.write(b"one line that is longer than a whole file may be\n")
    file.write(b"x\n")
    assert path.read_bytes() == b"x\n"
    file.close()


def test_only_so_many_turned_files_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "a.log"
    (tmp_path / "a.log.keepme").write_text("not ours")
    file = SharedLogFile(path, Period("S"), backups=2, clock=clock)
    for number in range(6):
        file.write(b"%d\n" % number)
        clock.now += 1
    kept = [each.read_bytes() for each in files_of(path) if re.search(r"\d$", each.name)]
    assert kept == [b"3\n", b"4\n"]
    assert (tmp_path / "a.log.keepme").exists()
    file.close()


def test_a_file_that_was_moved_or_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    file = SharedLogFile(path, Period("midnight"))
    file.write(b"1\n")
    path.rename(tmp_path / "moved")
    file.write(b"2\n")
    assert (tmp_path / "moved").read_bytes() == b"1\n"
    assert path.read_bytes() == b"2\n"
    for each in path.parent.iterdir():
        each.unlink()
    file.write(b"3\n")
    assert path.read_bytes() == b"3\n"
    file.close()
    file.close()
    file.write(b"4\n")
    assert path.read_bytes() == b"3\n4\n"
    file.close()


def test_a_lock_file_that_was_removed_does_not_split_the_writers(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    first, second = SharedLogFile(path, Period("S")), SharedLogFile(path, Period("S"))
    first.write(b"1\n")
    (tmp_path / ".a.log.lock").unlink()
    second.write(b"2\n")
    first.write(b"3\n")
    assert os.fstat(first._lock).st_ino == os.fstat(second._lock).st_ino
    first.close()
    second.close()


@pytest.mark.parametrize("content", [b"9" * 32, b"99999999999\n", b"\xb2\n", b"-1\n", b""], ids=repr)
def test_a_lock_file_that_says_no_time_stops_nobody(tmp_path: Path, content: bytes) -> None:
    log = SharedLogFile(tmp_path / "a.log", Period("midnight"))
    log.write(b"1\n")
    (tmp_path / ".a.log.lock").write_bytes(content)
    log.write(b"2\n")
    assert (tmp_path / "a.log").read_bytes() == b"1\n2\n"


def test_a_forked_child_locks_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = SharedLogFile(path, Period("S"))
    file.write(b"parent\n")
    parents = os.fstat(file._lock)
    child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        try:
            file.write(b"child\n")
            os._exit(0 if file._pid == os.getpid() and os.fstat(file._lock).st_ino == parents.st_ino else 3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    file.write(b"parent\n")
    assert b"".join(each.read_bytes() for each in files_of(path)).count(b"\n") == 3
    file.close()


@pytest.mark.parametrize("act", [SharedLogFile.close, lambda file: file.write(b"child\n")])
def test_a_forked_child_needs_no_lock_of_a_thread_it_does_not_have(
    tmp_path: Path, act: Callable[[SharedLogFile], None]
) -> None:
    """The worker that wrote no line closes its logs at its end: a writing thread of the parent held the lock."""
    file = SharedLogFile(tmp_path / "a.log")
    file.write(b"parent\n")
    with file._mutex:  # as a writing thread would at the moment of the fork
        child = os.fork()
        if child == 0:  # pragma: no cover  # another process
            try:
                signal.alarm(10)
                act(file)
                os._exit(0)
            finally:
                os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    file.close()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    file = SharedLogFile(path)
    file.write(b"before\n")
    real_write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 3:
            return real_write(descriptor, data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.write(b"halves\n")
    monkeypatch.undo()
    file.write(b"after\n")
    assert path.read_bytes() == b"before\nafter\n"
    file.close()


def test_threads_write_whole_pieces(tmp_path: Path) -> None:
    file = SharedLogFile(tmp_path / "a.log")

    def write(number: int) -> None:
        for _ in range(50):
            file.write(b"%d" % number * 500 + b"\n")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "a.log").read_bytes().splitlines()
    assert len(lines) == 200
    assert all(len(set(line)) == 1 and len(line) == 500 for line in lines)
    file.close()
