"""What a parent adds up of its workers: what they count, and the project's own metrics."""

import json
import socket
import subprocess
import sys
import time
from typing import Any

from torngas_aio.http.worker_slot import RenewalLimits, Slot
from torngas_aio.http.worker_totals import WorkerTotals, add_counts


def told(value: float) -> dict[str, Any]:
    return {
        "#own_orders": ["counter", "Orders."], "own_orders\nown_orders_total\n{}": value,
        "#own_open": ["gauge", "Open."], "own_open\nown_open\n{}": value,
    }  # fmt: skip


def test_counters_of_ended_workers_are_kept_and_their_gauges_are_not() -> None:
    totals, ended = WorkerTotals(), Slot(0, RenewalLimits())
    ended.note_own(told(5.0), ())
    totals.keep_own(ended)
    totals.keep_own(ended)
    assert totals.own == {key: value for key, value in told(5.0).items() if "orders" in key}


def test_the_answer_has_the_sums_of_those_that_live_and_of_those_that_have_ended() -> None:
    totals, slots = WorkerTotals(), [Slot(number, RenewalLimits()) for number in range(3)]
    for slot in slots:
        slot.note_own(told(slot.number + 1.0), ())
    totals.keep_own(slots[2])
    slots[1].note_own({}, ["own_open\nown_open\n{}"])
    ours, theirs = socket.socketpair()
    with ours:
        totals.answer([theirs], slots)
        ours.settimeout(10)
        with ours.makefile("rb") as answer:
            own = json.loads(answer.read())["own"]
    assert own["own_orders\nown_orders_total\n{}"] == 6.0
    assert own["own_open\nown_open\n{}"] == 1.0


def test_the_lag_of_a_worker_that_does_not_report_grows() -> None:
    totals, slots = WorkerTotals(), [Slot(number, RenewalLimits()) for number in range(2)]
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        for slot in slots:
            slot.process, slot.is_ready, slot.now = process, True, {"lag": 0.25}
            slot.reported_at = time.monotonic() - 90 * slot.number
        slots[1].is_hung = True
        ours, theirs = socket.socketpair()
        with ours:
            totals.answer([theirs], slots)
            ours.settimeout(10)
            with ours.makefile("rb") as answer:
                told = json.loads(answer.read())
    assert told["now"]["0"]["lag"] == 0.25
    assert 89 <= told["now"]["1"]["lag"] < 95
    assert told["states"] == {"ready": 1, "hung": 1}


def test_counts_add_up() -> None:
    into: dict[str, Any] = {"a": {"x": 1}, "l": [1, 2.5], "n": 1}
    add_counts(into, {"a": {"x": 2, "y": 3}, "l": [1, 1], "n": 2, "new": {"z": [1]}})
    assert into == {"a": {"x": 3, "y": 3}, "l": [2, 3.5], "n": 3, "new": {"z": [1]}}
