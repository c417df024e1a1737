"""Look-up time of our router and of Tornado's, by number of routes.

    python -m benchmarks.routing [--rounds 7] [--json FILE] [--linear]

Tables: 30 % whole paths, 65 % with groups (many share a prefix, some all of their opening), 5 % without a literal
opening. Asked: an even sample over each table, last routes included. Microseconds, the fastest round of each. Every
path is new to the router, so that its memory of recent paths cannot answer, but in the column "again".
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tornado import web
from tornado.routing import RuleRouter

from torngas_aio.routing import ApplicationRouter

SIZES = (10, 100, 1_000, 5_000)
SPREAD = range(1, 20, 2)
"""The kinds of route that a table of ten holds; a larger one holds all twenty, and the same ten are asked for."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Asked:
    """The part of a request that path rules look at."""

    __slots__ = ("connection", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.connection = None


Case = tuple[str, Callable[[int], str]]


def mixed(count: int) -> list[Case]:
    """A table of *count* patterns, each with a maker of paths that it takes."""
    rand = random.Random(7)
    kinds = SPREAD if count <= len(SPREAD) else range(20)
    cases: list[Case] = []
    for number in range(count):
        word = "".join(rand.choice(LETTERS) for _ in range(rand.randint(3, 9))) + str(number)
        cases.append(_case(kinds[number % len(kinds)], word))
    return cases


def _case(kind: int, word: str) -> Case:
    if kind < 6:
        return rf"/{word}/list", lambda _: f"/{word}/list"
    if kind < 10:
        return rf"/api/v1/{word}/(\d+)", lambda n: f"/api/v1/{word}/{n}"
    if kind < 13:
        return rf"/api/v1/{word}/([^/]+)/edit/?", lambda n: f"/api/v1/{word}/u{n}/edit"
    if kind < 15:
        return rf"/user/(\d+)/{word}", lambda n: f"/user/{n}/{word}"
    if kind < 17:
        return rf"/user/(?P<user>\w+)/{word}/(?P<item>\d+)", lambda n: f"/user/u{n}/{word}/{n}"
    if kind < 18:
        return rf"/file/(.*)/{word}\.txt", lambda n: f"/file/a/{n}/{word}.txt"
    if kind == 20:
        return rf"/day/(\d+)-{word}-(\d+)", lambda n: f"/day/{n}-{word}-{n}"
    if kind < 19:
        return rf"/page/(\d+)-{word}\.html", lambda n: f"/page/{n}-{word}.html"
    return rf"(.*)/any-{word}", lambda n: f"/x/{n}/any-{word}"


FAMILIES: dict[str, Callable[[int], list[Case]]] = {
    "mixed": mixed,
    "whole paths": lambda count: [_case(0, f"a{number}") for number in range(count)],
    "same opening, group last": lambda count: [_case(6, f"a{number}") for number in range(count)],
    "same opening, then a group": lambda count: [_case(13, f"a{number}") for number in range(count)],
    "group that crosses slashes": lambda count: [_case(17, f"a{number}") for number in range(count)],
    "group inside a segment": lambda count: [_case(18, f"a{number}") for number in range(count)],
    "literal between two groups": lambda count: [_case(20, f"a{number}") for number in range(count)],
}


def sample(cases: list[Case], has_opening: bool, limit: int = 200) -> list[Case]:
    """An even pick of the cases, last first; of a mixed table, those of the kinds that every size holds."""
    spread = cases if len(cases) <= len(SPREAD) else [case for place, case in enumerate(cases) if place % 20 in SPREAD]
    kept = [case for case in spread if case[0].startswith("/") is has_opening]
    step = max(1, len(kept) // limit)
    return kept[::-1][: step * limit : step]


def time_of(
    router: RuleRouter, cases: list[Case], rounds: int, resolve: bool, least: int = 4_000, is_same: bool = False
) -> float:
    """Microseconds for one look-up, the fastest round; paths differ in every look-up, but for *is_same*."""
    best = float("inf")
    serial = 0
    find: Any = router.resolve if resolve else router.find_handler  # type: ignore[attr-defined]
    for _ in range(rounds):
        asked: list[Asked] = []
        while len(asked) < least:
            serial += not is_same
            asked += [Asked(make(serial)) for _, make in cases]
        started = time.perf_counter()
        for request in asked:
            find(request)
        best = min(best, (time.perf_counter() - started) / len(asked))
    return best * 1e6


def build_seconds(cases: list[Case]) -> tuple[ApplicationRouter, float]:
    started = time.perf_counter()
    router = ApplicationRouter(web.Application(), [(pattern, web.RequestHandler) for pattern, _ in cases])
    list(router.routes())
    return router, time.perf_counter() - started


def measure(rounds: int, linear: bool) -> Iterable[dict[str, Any]]:
    for family, make in FAMILIES.items():
        for size in SIZES:
            cases = make(size)
            ours, seconds = build_seconds(cases)
            row: dict[str, Any] = {"family": family, "routes": size, "build_ms": seconds * 1e3}
            row["us"] = time_of(ours, sample(cases, True), rounds, True)
            row["again_us"] = time_of(ours, sample(cases, True), rounds, True, is_same=True)
            open_ended = sample(cases, False)
            if open_ended:
                row["no_opening_us"] = time_of(ours, open_ended, rounds, True)
            if linear:
                tornado = web._ApplicationRouter(web.Application(), [(each, web.RequestHandler) for each, _ in cases])
                row["tornado_us"] = time_of(tornado, sample(cases, True, 20), 1, False, 100)
            yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--linear", action="store_true", help="time Tornado's router too")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    first: dict[str, float] = {}
    titles = ("/ at 10", "again", "no opening", "Tornado", "build ms")
    print(
        f"{'family':28} {'routes':>6} {'us':>7} {titles[0]:>8} {titles[1]:>6} "
        + " ".join(map("{:>10}".format, titles[2:]))
    )
    for row in measure(options.rounds, options.linear):
        rows.append(row)
        ratio = row["us"] / first.setdefault(row["family"], row["us"])
        blank = float("nan")
        last = (row.get("no_opening_us", blank), row.get("tornado_us", blank), row["build_ms"])
        print(
            f"{row['family']:28} {row['routes']:6} {row['us']:7.2f} {ratio:8.2f} {row['again_us']:6.2f} "
            + " ".join(map("{:10.2f}".format, last))
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
