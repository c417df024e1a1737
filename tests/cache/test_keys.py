"""Finished keys: their form, their beginning, digests; the contract suite holds that no key reaches another's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torngas_aio.cache.keys import MAX_KEY_BYTES, KeyMaker, default_key, escaped_prefix, hashed_key, is_reserved
from torngas_aio.exception import ConfigError, InvalidKey


def key_of_caller(key: str, key_prefix: str, version: int) -> str:
    return key


def version_behind(key: str, key_prefix: str, version: int) -> str:
    return f"{key_prefix}.{key}.{version}"


def dotted_key(key: str, key_prefix: str, version: int) -> str:
    return f"{key_prefix}.{version}.{key}"


@given(st.tuples(st.text(), st.integers(), st.text()), st.tuples(st.text(), st.integers(), st.text()))
def test_no_two_of_prefix_version_and_key_make_the_same_key(
    one: tuple[str, int, str], other: tuple[str, int, str]
) -> None:
    """Prefixes as KEY_PREFIX takes them: one with '%' in front is refused."""
    finished = [default_key(key, prefix.lstrip("%"), version) for prefix, version, key in (one, other)]
    sources = [(prefix.lstrip("%"), version, key) for prefix, version, key in (one, other)]
    assert (finished[0] == finished[1]) == (sources[0] == sources[1])


@given(st.text(max_size=400))
def test_a_finished_key_fits_every_store_and_is_none_of_the_reserved(key: str) -> None:
    maker = KeyMaker("app", 2)
    try:
        made = maker.make(key)
    except InvalidKey:
        assert key.startswith("%b:") or any(each < " " or each == "\x7f" or "\ud800" <= each < "\ue000" for each in key)
    else:
        assert len(made.encode()) <= MAX_KEY_BYTES
        assert made.startswith("app:2:")
        assert not is_reserved(made)


@pytest.mark.parametrize(
    ("prefix", "escaped"), [("", ""), ("a", "a"), ("50%", "50%"), ("a:b", "%p:a%3Ab"), ("a%:", "%p:a%25%3A")]
)
def test_a_prefix_is_escaped_where_it_holds_a_colon(prefix: str, escaped: str) -> None:
    assert escaped_prefix(prefix) == escaped
    assert not is_reserved(f"{escaped}:1:key")


@pytest.mark.parametrize("key", ["%s:app:id", "%lock::name", "%generation:app:1:", "%ping", "%"])
def test_what_the_package_keeps_for_itself_is_reserved(key: str) -> None:
    assert is_reserved(key)


@pytest.mark.parametrize("key", ["two words", "é", "tab\t", "line\n", "a" * 250, "%h:abc"])
def test_a_hashed_key_is_short_and_plain(key: str) -> None:
    made = hashed_key(key, "app", 1)
    assert made.startswith("app:1:%h:")
    assert made.isascii()
    assert made.isprintable()
    assert len(made) < MAX_KEY_BYTES
    assert hashed_key(f"{key}x", "app", 1) != made
    assert hashed_key("plain", "app", 1) == "app:1:plain"


def test_a_digest_that_is_too_long_itself_is_refused_with_a_mend() -> None:
    with pytest.raises(InvalidKey, match=r"longer than 250 bytes.*Shorten KEY_PREFIX"):
        KeyMaker("p" * 240).make("k" * 20)
    assert KeyMaker("p" * 190).make("k" * 250).startswith("p" * 190 + ":1:%h:")


def test_spaces_are_refused_where_the_store_splits_at_them() -> None:
    assert KeyMaker().make("two words") == ":1:two words"
    with pytest.raises(InvalidKey, match=r"holds ' '.*hashed_key"):
        KeyMaker(refuses_spaces=True).make("two words")
    with pytest.raises(InvalidKey, match="holds '\\\\u3000'"):
        KeyMaker(refuses_spaces=True).make("two\u3000words")
    assert KeyMaker("", 1, hashed_key, refuses_spaces=True).make("two words").startswith(":1:%h:")


@pytest.mark.parametrize(
    ("function", "head"), [(None, "app:"), (dotted_key, "app."), (version_behind, "app."), (key_of_caller, "")]
)
def test_the_head_is_what_all_keys_of_a_cache_begin_with(function: object, head: str) -> None:
    maker = KeyMaker("app", 1, function)  # type: ignore[arg-type]
    assert maker.head == head
    assert all(maker.make(key, version).startswith(head) for key in ("a", "b", "") for version in (0, 1, -5))


def test_the_head_of_a_version_is_told_where_keys_end_in_the_callers() -> None:
    maker = KeyMaker("app", 3)
    assert maker.head_of_version(None) == "app:3:"
    assert maker.head_of_version(0) == "app:0:"
    with pytest.raises(NotImplementedError, match="does not end in the key itself"):
        KeyMaker("app", 1, version_behind).head_of_version(None)


def test_a_function_is_named_by_its_path() -> None:
    maker = KeyMaker("app", 1, f"{__name__}.dotted_key")
    assert maker.make("key") == "app.1.key"
    for path, fault in [
        ("no.such.function", "No module named"),
        (f"{__name__}.absent", "absent"),
        ("math.pi", "a function is wanted"),
    ]:
        with pytest.raises(ConfigError, match=rf"CACHES\['x'\].*KEY_FUNCTION.* = '{path}'.*{fault}"):
            KeyMaker("app", 1, path, owner="CACHES['x']")


def test_a_function_that_fails_is_a_fault_of_the_settings() -> None:
    def failing(key: str, key_prefix: str, version: int) -> str:
        raise LookupError("no table of keys")

    with pytest.raises(ConfigError, match=r"has failed \(LookupError: no table of keys\)") as caught:
        KeyMaker("app", 1, failing)
    assert isinstance(caught.value.__cause__, LookupError)


def test_stored_keys_of_prefixes_without_a_colon_stay_as_they_were() -> None:
    assert KeyMaker("app", 3).make("a:b") == "app:3:a:b"
    assert KeyMaker("").make("x", 7) == ":7:x"
    assert KeyMaker("app").make(b"\xff") == "app:1:%b:ff"
    assert KeyMaker("50%", 1, hashed_key).make("x") == "50%:1:x"
