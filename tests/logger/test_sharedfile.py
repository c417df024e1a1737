"""One file, many writers: no line lost, none torn, whoever turns, moves or removes the file."""

import errno
import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from torngas_aio.logger.period import Period
from torngas_aio.logger.sharedfile import SharedLogFile

REPOSITORY = Path(__file__).parent.parent.parent

WRITER = """
    import sys, time, zlib
    from torngas_aio.logger.handlers import ProcessLogTimedFileHandler
    import logging

    path, number, seconds, queue_lines = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    handler = ProcessLogTimedFileHandler(path, "S", queue_lines=queue_lines)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("writer")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel("INFO")
    count = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(100):
            body = f"{number}:{count}:" + "x" * (count * 37 % 900)
            logger.info("%s:%08x", body, zlib.crc32(body.encode()))
            count += 1
        handler.flush()
    handler.close()
    assert handler.dropped == handler.failed == 0
    print(count)
"""


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def files_of(path: Path) -> list[Path]:
    return sorted(each for each in path.parent.iterdir() if each.name.startswith(path.name))


def write_from_processes(path: Path, processes: int, seconds: float, queue_lines: int) -> dict[int, int]:
    program = textwrap.dedent(WRITER)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(number), str(seconds), str(queue_lines)],
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        for number in range(processes)
    ]
    counts = {}
    for number, process in enumerate(running):
        out, _ = process.communicate()
        assert process.returncode == 0
        counts[number] = int(out)
    return counts


def check_every_line(path: Path, counts: dict[int, int]) -> None:
    import zlib

    seen: dict[int, list[int]] = {number: [] for number in counts}
    for file in files_of(path):
        for line in file.read_bytes().split(b"\n")[:-1]:
            body, _, crc = line.rpartition(b":")
            assert crc == b"%08x" % zlib.crc32(body), f"torn line in {file.name}: {line[:80]!r}"
            writer, place, _ = body.split(b":")
            seen[int(writer)].append(int(place))
        assert file.read_bytes().endswith(b"\n")
    for number, count in counts.items():
        assert sorted(seen[number]) == list(range(count))


@pytest.mark.parametrize("queue_lines", [10_000, 0])
def test_eight_processes_lose_and_tear_no_line_while_the_file_turns_each_second(
    tmp_path: Path, queue_lines: int
) -> None:
    path = tmp_path / "logs" / "access.log"
    counts = write_from_processes(path, 8, 2.2, queue_lines)
    check_every_line(path, counts)
    assert len(files_of(path)) >= 3
    assert all(count > 0 for count in counts.values())


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_eight_processes_for_half_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    counts = write_from_processes(path, 8, 30, 10_000)
    check_every_line(path, counts)
    assert len(files_of(path)) >= 30


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


def test_a_file_that_was_moved_or_removed_is_made_anew(tmp_path: Path) -> None:
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
