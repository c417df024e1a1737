"""Values on shared stores are signed and bound to their key; values in memory are not."""

import os
import pickle
from typing import Any

import pytest

from tests.contracts.cache.subject import Subject
from torngas_aio.cache.backends.base import MISSING, BaseCache
from torngas_aio.cache.serializers import PickleSerializer, SignedPickleSerializer

SECRETS = ["the first secret of the project", "the second secret of the project", b"the third secret of the project"]


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, ("TORNGAS_EXPLOITED", "1")


@pytest.fixture
def shared(subject: Subject) -> Subject:
    if not subject.make().is_shared:
        pytest.skip("the store is private to the process")
    return subject


@pytest.fixture
def cache(shared: Subject) -> BaseCache:
    return shared.make(SECRET_KEY=SECRETS[0])


def test_memory_is_not_signed(subject: Subject) -> None:
    cache = subject.make(SECRET_KEY=SECRETS[0])
    assert type(cache.serializer) is (SignedPickleSerializer if cache.is_shared else PickleSerializer)


FORGED = [
    pickle.dumps(Exploit()),
    pickle.dumps({"is_admin": True}),
    b"s" + b"x" * 32 + pickle.dumps(Exploit()),
    b"k" + b"x" * 32 + pickle.dumps(Exploit()),
    b"1" + pickle.dumps(Exploit()),
    b"-" + pickle.dumps(Exploit(), 0),
    b"k",
    b"",
    b"{}",
]


@pytest.mark.parametrize("forged", FORGED, ids=range(len(FORGED)))
async def test_what_others_wrote_is_a_miss_and_runs_nothing(
    cache: BaseCache, forged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a", "b", "c", "d", "e", "f"]

    async def forge() -> None:
        for name in names:
            await cache.raw_set(cache.keys_of.make(name), forged, 60)

    await forge()
    assert await cache.get("a", MISSING) is MISSING
    assert await cache.get_many(["a", "b"]) == {}
    assert await cache.gets("c") is None
    assert await cache.get_or_set("d", lambda: "computed") == "computed"
    assert await cache.get("d") == "computed"
    assert await cache.get("e") is None
    assert not await cache.has_key("e")
    assert await cache.add("e", "mine")
    with pytest.raises(ValueError, match="no key 'f'"):
        await cache.incr_version("f")
    assert "TORNGAS_EXPLOITED" not in os.environ
    told = [record for record in caplog.records if "signature" in record.getMessage()]
    assert len(told) == 1, "once, not for each value"
    assert told[0].exc_info is None


async def test_a_signed_value_is_good_for_its_own_key_only(shared: Subject) -> None:
    cache = shared.make(SECRET_KEY=SECRETS[0])
    other = shared.make(SECRET_KEY=SECRETS[0], KEY_PREFIX="other")
    await cache.set("mine", {"role": "admin"})
    data = await cache.raw_get(cache.keys_of.make("mine"))
    assert data is not None
    places = [(cache, "yours", None), (cache, "mine", 2), (other, "mine", None)]
    for owner, key, version in places:
        await owner.raw_set(owner.keys_of.make(key, version), data, 60)
        assert await owner.get(key, version=version) is None
    assert await cache.get("mine") == {"role": "admin"}


async def test_secrets_rotate(shared: Subject) -> None:
    first, second, third = SECRETS
    await shared.make(SECRET_KEY=first).set("key", [1])
    assert await shared.make(SECRET_KEY=[second, first]).get("key") == [1]
    assert await shared.make(OPTIONS={"SECRET_KEY": {1: first, 2: second}}).get("key") == [1]
    await shared.make(SECRET_KEY=(second, first)).set("key", [2])
    assert await shared.make(SECRET_KEY=second).get("key") == [2], "the first of several signs"
    await shared.make(OPTIONS={"SECRET_KEY": {1: first, 2: second, 3: third}}).set("key", [3])
    assert await shared.make(SECRET_KEY=third).get("key") == [3], "the highest version signs"
    assert await shared.make(SECRET_KEY=first).get("key") is None


async def test_options_choose_another_secret_or_serializer(shared: Subject) -> None:
    cache = shared.make(SECRET_KEY=SECRETS[0], OPTIONS={"SECRET_KEY": SECRETS[1]})
    await cache.set("key", [1])
    assert await shared.make(SECRET_KEY=SECRETS[1]).get("key") == [1]
    unsigned = shared.make(SECRET_KEY=SECRETS[0], OPTIONS={"SERIALIZER": "pickle"})
    await unsigned.set("key", [2])
    assert await unsigned.raw_get(unsigned.keys_of.make("key")) == pickle.dumps([2], pickle.HIGHEST_PROTOCOL)
    named = shared.make(SECRET_KEY=SECRETS[0], OPTIONS={"SERIALIZER": "signed-pickle"})
    await named.set("key", [3])
    assert await shared.make(SECRET_KEY=SECRETS[0]).get("key") == [3]


@pytest.mark.parametrize("number", [0, -7, 2**63 - 1, -(2**63)])
async def test_integers_stay_bare(cache: BaseCache, number: int) -> None:
    await cache.set("n", number)
    assert await cache.raw_get(cache.keys_of.make("n")) == b"%d" % number
    assert await cache.get("n") == number
    await cache.set("n", 2**63)
    assert await cache.get("n") == 2**63
    await cache.set("n", True)
    assert await cache.get("n") is True


async def test_a_secret_of_this_run_warns(shared: Subject, caplog: pytest.LogCaptureFixture) -> None:
    shared.make(SECRET_KEY=SECRETS[0])
    shared.make(OPTIONS={"SERIALIZER": "json"})
    assert not caplog.records
    one, two = shared.make(), shared.make(RUN_SECRET=("made for this run",))
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "cookie_secret" in caplog.text
    assert "made for this run'" not in caplog.text
    await one.set("key", [1])
    assert await shared.make().get("key") == [1]
    assert await two.get("key") is None
