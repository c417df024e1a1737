"""So many requests in such a time, for each client, over real sockets."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import BlockBuster
from limits import parse
from limits.aio.strategies import STRATEGIES

from tests.services.redis import RedisServer
from torngas_aio.application import Application
from torngas_aio.exception import ConfigError
from torngas_aio.handler import WebHandler
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.httpmodule.ratelimit import BoundedMemoryStorage, RateLimit, _network_of
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture(autouse=True)
def redis_may_look_up_its_version(blocking_calls_fail: BlockBuster) -> None:
    """redis-py reads its own version from its package's metadata at each new connection."""
    for function in blocking_calls_fail.functions.values():
        function.can_block_in("redis/utils.py", "get_lib_version")


class Main(WebHandler):
    async def get(self) -> None:
        self.write("in")


class Three(RateLimit):
    limit = "3/hour"


class Two(RateLimit):
    limit = "2/day;5/hour"


class ByKey(RateLimit):
    limit = "1/hour"

    def key_of(self, handler: Any) -> str | None:
        found: str | None = handler.request.headers.get("X-Key")
        return found


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def served(*modules: type[RateLimit], **options: Any) -> Application:
    with settings.override(RATE_LIMIT=options):
        middleware = HttpModuleMiddleware(modules, {})
        return Application([("/", Main), ("/other", Main)], middlewares=[middleware])


async def test_the_requests_that_are_too_many_are_answered_429_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with TestClient(served(Three)) as client:
        answers = [await client.get("/") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"3"}
    assert all(0 <= int(answer.headers["RateLimit-Reset"]) <= 3600 for answer in answers)
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
    assert "Retry-After" not in answers[0].headers


async def test_requests_at_the_same_time_get_no_more_than_the_limit() -> None:
    async with TestClient(served(Three)) as client:
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 17


async def test_each_class_and_each_client_counts_for_itself() -> None:
    async with TestClient(served(ByKey)) as client:
        statuses = [(await client.get("/", headers={"X-Key": key})).status_code for key in ("a", "b", "a")]
        assert statuses == [200, 200, 429]
        assert [(await client.get("/")).status_code for _ in range(3)] == [200, 200, 200]
    async with TestClient(served(Three, Two)) as client:
        answers = [await client.get("/") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["RateLimit-Limit"] == "2"


async def test_the_address_is_the_one_that_trusted_proxies_vouch_for() -> None:
    def headers(address: str) -> dict[str, str]:
        return {"X-Forwarded-For": address}

    async with TestClient(served(Two), server_options={"xheaders": True}) as client:
        for address in ("203.0.113.1", "203.0.113.2", "2001:db8:1:1::1"):
            assert [(await client.get("/", headers=headers(address))).status_code for _ in range(2)] == [200, 200]
        # one customer's network is one client, and what the client itself claims counts for nothing
        assert (await client.get("/", headers=headers("2001:db8:1:1:ffff::9"))).status_code == 429
        assert (await client.get("/", headers=headers("6.6.6.6, 203.0.113.1"))).status_code == 429
    async with TestClient(served(Two), server_options={"xheaders": False}) as client:
        statuses = [(await client.get("/", headers=headers(f"203.0.113.{n}"))).status_code for n in range(3)]
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        (None, "unknown"),
        ("unix", "unix"),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str | None, key: str) -> None:
    assert _network_of(address) == key


async def test_headers_can_be_left_out() -> None:
    async with TestClient(served(Three, headers=False)) as client:
        answers = [await client.get("/") for _ in range(4)]
    assert not [name for answer in answers for name in answer.headers if name.startswith("ratelimit")]
    assert "Retry-After" in answers[3].headers


@pytest.mark.parametrize("strategy", ["fixed-window", "sliding-window-counter"])
async def test_every_strategy_of_the_memory_keeps_the_limit(strategy: str) -> None:
    async with TestClient(served(Three, strategy=strategy)) as client:
        assert [(await client.get("/")).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_the_default_limit_is_the_settings() -> None:
    async with TestClient(served(RateLimit, default="1/minute")) as client:
        assert [(await client.get("/")).status_code for _ in range(2)] == [200, 429]


@pytest.mark.redis
@pytest.mark.parametrize("strategy", ["fixed-window", "sliding-window-counter", "moving-window"])
async def test_processes_share_their_counts_in_redis(redis_server: RedisServer, strategy: str) -> None:
    uri = f"async+redis://127.0.0.1:{redis_server.port}"
    options = {"key_prefix": f"ratelimit-{strategy}"}
    first, second = (served(Three, storage=uri, storage_options=options, strategy=strategy) for _ in range(2))
    async with TestClient(first) as one, TestClient(second) as two:
        statuses = [(await client.get("/")).status_code for client in (one, two, one, two, one)]
    assert statuses == [200, 200, 200, 429, 429]


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port on which nobody listens."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.mark.parametrize(("choice", "status"), [("allow", 200), ("refuse", 503)])
async def test_without_its_storage_it_lets_through_or_refuses(
    nobody: int, choice: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    application = served(Three, storage=f"async+redis://127.0.0.1:{nobody}", when_unavailable=choice)
    async with TestClient(application) as client:
        assert [(await client.get("/")).status_code for _ in range(5)] == [status] * 5
    assert caplog.text.count("The storage of rate limits does not answer") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"storage": "redis://localhost"}, r"RATE_LIMIT\['storage'\]"),
        ({"storage": "async+rediss"}, r"RATE_LIMIT\['storage'\]"),
        ({"storage": "async+reddis://localhost"}, r"RATE_LIMIT\['storage'\]"),
        ({"strategy": "none"}, r"RATE_LIMIT\['strategy'\]"),
        ({"strategy": "moving-window"}, "needs a storage such as Redis"),
        ({"when_unavailable": "panic"}, r"RATE_LIMIT\['when_unavailable'\]"),
        ({"limit": "5/minute"}, r"RATE_LIMIT\['limit'\]: no such key"),
        ({"default": "many"}, "'many': must be a rate limit"),
    ],
)
def test_wrong_options_are_faults_of_the_configuration(options: dict[str, Any], says: str) -> None:
    with settings.override(RATE_LIMIT=options), pytest.raises(ConfigError, match=says):
        RateLimit()


async def test_a_sliding_window_forgets_bit_by_bit() -> None:
    clock = Clock()
    clock.now -= clock.now % 60
    storage: Any = BoundedMemoryStorage(clock=clock)
    limiter = STRATEGIES["sliding-window-counter"](storage)  # type: ignore[abstract]  # one of the concrete ones
    item = parse("10/minute")
    assert [await limiter.hit(item, "a") for _ in range(11)] == [True] * 10 + [False]
    clock.now += 60
    assert not await limiter.hit(item, "a")
    clock.now += 30
    assert [await limiter.hit(item, "a") for _ in range(6)] == [True] * 5 + [False]
    clock.now += 120
    assert (await limiter.get_window_stats(item, "a")).remaining == 10
    assert await limiter.test(item, "a")
    await limiter.clear(item, "a")
    assert await limiter.hit(item, "a", cost=10)
    assert not await limiter.hit(item, "a", cost=11)


async def test_a_fixed_window_begins_anew_when_it_has_passed() -> None:
    clock = Clock()
    storage: Any = BoundedMemoryStorage(clock=clock)
    limiter = STRATEGIES["fixed-window"](storage)  # type: ignore[abstract]  # one of the concrete ones
    item = parse("2/minute")
    assert [await limiter.hit(item, "a") for _ in range(3)] == [True, True, False]
    assert await storage.get_expiry(item.key_for("a")) == clock.now + 60
    clock.now += 61
    assert await storage.get(item.key_for("a")) == 0
    assert await limiter.hit(item, "a")
    await limiter.clear(item, "a")
    assert await storage.get(item.key_for("a")) == 0


async def test_counters_never_grow_beyond_their_number() -> None:
    storage: Any = BoundedMemoryStorage(max_counters=100, clock=Clock())
    for number in range(1000):
        await storage.incr("kept", 60)
        await storage.incr(f"client {number}", 60)
    assert len(storage._counters) == 100
    assert await storage.get("kept") == 1000
    assert await storage.check()
    assert await storage.reset() == 100
