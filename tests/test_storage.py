"""Rows and forms as objects."""

import copy
import json
import pickle

import pytest

from torngas_aio.storage import Storage, storage, storify


def test_a_key_is_an_attribute_and_the_other_way_round() -> None:
    row = Storage(name="jack", age=3)
    row.city = "Lhasa"
    del row.age
    assert row.name == row["name"] == "jack"
    assert row == {"name": "jack", "city": "Lhasa"}
    assert storage is Storage


def test_a_missing_attribute_names_what_there_is() -> None:
    row = Storage(name="jack")
    with pytest.raises(AttributeError, match="no 'nam'; it has \\['name'\\]"):
        _ = row.nam
    with pytest.raises(AttributeError, match="no 'nam' to delete"):
        del row.nam
    assert not hasattr(row, "other")


def test_it_copies_pickles_and_dumps_as_the_dictionary_it_is() -> None:
    row = Storage(name="jack", tags=["a"])
    deep = copy.deepcopy(row)
    deep.tags.append("b")
    assert row.tags == ["a"]
    assert type(row.copy()) is type(copy.copy(row)) is type(pickle.loads(pickle.dumps(row))) is Storage
    assert pickle.loads(pickle.dumps(row)) == row
    assert json.loads(json.dumps(row)) == {"name": "jack", "tags": ["a"]}
    assert repr(Storage(a=1)) == "<Storage {'a': 1}>"


def test_storify_takes_the_last_of_several_values_and_fills_in_defaults() -> None:
    form = {"name": ["jack", "jill"], "tags": "one", "empty": []}
    found = storify(form, "name", tags=[], page=1)
    assert found == {"name": "jill", "tags": ["one"], "empty": None, "page": 1}
    assert type(found) is Storage


def test_storify_never_shares_its_defaults() -> None:
    default: list[str] = []
    storify({}, tags=default).tags.append("x")
    assert default == []
    assert storify({"tags": ("a", "b")}, tags=default).tags == ["a", "b"]


def test_storify_insists_on_what_is_required() -> None:
    with pytest.raises(KeyError, match="name"):
        storify({"age": 1}, "name")
