"""Hashes of passwords: right ones match, wrong and unknown ones do not, and a storm of logins is bounded."""

import asyncio

import pytest
from argon2 import PasswordHasher

from torngas_aio.auth import check_password, hash_password, needs_rehash, passwords
from torngas_aio.exception import ArgumentError, PoolExhausted


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.mark.parametrize("password", ["secret", "пароль 密码", "x" * 1024, "\udc80 lone", "a\0b"])
async def test_the_right_password_matches_and_others_do_not(password: str) -> None:
    hashed = await hash_password(password)
    assert hashed.startswith("$argon2id$")
    assert hashed != await hash_password(password)
    assert await check_password(password, hashed)
    for other in (password + "x", "", password[:-1], password * 2000):
        assert not await check_password(other, hashed)


@pytest.mark.parametrize("hashed", [None, "", "no hash", "$argon2id$v=19$m=64", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_what_is_no_hash_matches_nothing(hashed: str | None) -> None:
    assert not await check_password("nobody's", hashed)
    assert not await check_password("", hashed)


async def test_empty_and_huge_passwords_are_refused() -> None:
    for password in ("", "x" * 1025):
        with pytest.raises(ArgumentError, match="1 to 1024"):
            await hash_password(password)


async def test_new_parameters_ask_for_a_new_hash() -> None:
    assert needs_rehash(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1).hash("x"))
    assert needs_rehash("no hash")
    assert not needs_rehash(await hash_password("x"))


async def test_a_storm_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 4)
    hashed = await hash_password("x")
    outcomes = await asyncio.gather(*(check_password("x", hashed) for _ in range(50)), return_exceptions=True)
    assert outcomes.count(True) >= 2
    refused = [each for each in outcomes if isinstance(each, PoolExhausted)]
    assert len(refused) + outcomes.count(True) == 50
    assert refused
