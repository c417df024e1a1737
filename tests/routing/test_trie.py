"""What a table of edges finds is what asking each of them would find."""

import random

import pytest

from torngas_aio.routing.trie import Edges, Inner


def text(rand: random.Random, longest: int) -> str:
    return "".join(rand.choice("ab-") for _ in range(rand.randint(0, longest)))


@pytest.mark.parametrize("count", [1, 2, 10, 60])
def test_every_value_whose_edges_fit_is_found(count: int) -> None:
    rand = random.Random(count)
    for _ in range(100):
        entries = {(text(rand, 4), text(rand, 5)): number for number in range(count)}
        edges = Edges((opening, ending, number) for (opening, ending), number in entries.items())
        for _ in range(20):
            asked = text(rand, 9)
            found: list[int] = []
            edges.find(asked, asked, found)
            fitting = {
                value for (start, end), value in entries.items() if asked.startswith(start) and asked.endswith(end)
            }
            assert fitting <= set(found)
            assert len(found) == len(set(found))


@pytest.mark.parametrize("count", [1, 2, 10, 60])
def test_every_value_whose_text_is_inside_is_found(count: int) -> None:
    rand = random.Random(count)
    for _ in range(100):
        entries = [(text(rand, 5) or "a", number) for number in range(count)]
        inner = Inner(entries)
        for _ in range(20):
            asked = text(rand, 12)
            found: list[int] = []
            inner.find(asked, found)
            assert {value for each, value in entries if each in asked} <= set(found)


def test_few_are_proposed_among_many() -> None:
    edges = Edges(("", f"-a{number}.html", number) for number in range(5_000))
    found: list[int] = []
    edges.find("17-a4711.html", "17-a4711.html", found)
    assert found == [4711]
