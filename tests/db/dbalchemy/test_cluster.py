"""Slaves that are left out and tried again."""

import pytest

from tests.db.support import SERVER, cluster_with
from torngas_aio.db.dbalchemy import cluster


def test_a_slave_that_is_down_is_left_out_and_tried_by_one_request_at_a_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr(cluster, "monotonic", lambda: now)
    made = cluster_with({"ROLE": "master", **SERVER}, {"ROLE": "slave", **SERVER}, {"ROLE": "slave", **SERVER})
    first, second = made.slaves
    first.mark_down()
    first.mark_down()
    assert caplog.text.count("is out of reach") == 1
    assert {made.choose() for _ in range(20)} == {second}
    now += cluster.RETRY_SECONDS
    assert [made.choose() for _ in range(3)] == [first, second, second]
    second.mark_down()
    assert made.choose() is None
    now += cluster.RETRY_SECONDS
    assert made.choose() is first
    first.mark_up()
    first.mark_up()
    assert caplog.text.count("port is back.") == 1
    alone = cluster_with({"ROLE": "master", **SERVER}, {"ROLE": "slave", **SERVER})
    alone.slaves[0].mark_down()
    assert alone.choose() is None
