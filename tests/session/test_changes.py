"""Changes of one request to a session: what may be counted, and how long it lives."""

import pytest

from tests.session.conftest import RemoteCache
from tests.session.test_store import opened
from torngas_aio.exception import SessionError


async def test_counting_what_is_no_number_is_refused(cache: RemoteCache, caplog: pytest.LogCaptureFixture) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session.update(text="x", yes=True, n=1)
        for key in ("text", "yes"):
            with pytest.raises(SessionError, match="no number to count"):
                session.incr(key)
        del session["n"]
        assert session.incr("n", 2.5) == 2.5
    first, second = await visitor.open(), await visitor.open()
    first["n"] = "text"
    second.incr("n")
    await visitor.close(first)
    await visitor.close(second)
    assert (await visitor.data())["n"] == "text"
    assert "no number, put by another request" in caplog.text


async def test_a_life_below_0_is_refused(cache: RemoteCache) -> None:
    async with opened(cache).request() as session:
        with pytest.raises(SessionError, match="expired"):
            session.set_expire(-1)


async def test_a_tuple_is_told_once_with_its_key(cache: RemoteCache, caplog: pytest.LogCaptureFixture) -> None:
    visitor = opened(cache)
    async with visitor.request() as session:
        session["t"] = (1, 2)
    assert (await visitor.data())["t"] == [1, 2]
    assert [record.args for record in caplog.records if "kept as a list" in record.msg] == [("session['t']",)]
