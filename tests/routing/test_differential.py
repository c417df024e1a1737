"""On any table, our router gives Tornado's answer: same route, same arguments, first match in order."""

import random
import re
from typing import Any

import pytest
from tornado import web
from tornado.routing import AnyMatches, DefaultHostMatches, HostMatches, PathMatches, Rule

from tests.routing.conftest import RecordingApplication, answer, handler, request_for
from torngas_aio.routing import ApplicationRouter

HANDLERS = [handler(f"H{number}") for number in range(40)]
HOSTS = ["example.org", "a.example.org", "other.net"]
WORDS = ["a", "b", "ab", "user", "x1", "users", r"a\.b", "", "photo_12", "photo_13", "é", "a%20b"]
GROUPS = [
    *(r"(\d+)", r"([^/]+)", r"(.*)", r"(.+)", r"(\w*)", r"([a-f]{2})", r"(a|b)", r"(?:a|ab)", r"(x\d)?", r"([^a]+)"),
    *(r"\d{1,3}", r".", r"[ab]", r"(user|photo_12/a)", r"(?=a)", r"(?!user)", r"(?i:AB)", r"(?:/a)?", r"b?", r"\W"),
    *(r"(?>a|ab)", r"((?:a|b)+)", r"(a)?(b)?", r"(?:(a)|b)", r"\b", r"^", r"$", r"(?:a$|b)", r"[^/.]*+", r"([a-z]*?)"),
    *(r"(?P<x>\d+)", r"(?P<y>[^/]*)", r"(?P<z>.*)", r"(?:(?P<w>a)|b)", r"(?P=x)", r"\1", r"[^b]", r"\D+", r"[!-~]"),
]
OPENINGS = ["/", "/", "/", "/", "/x/", "/api/v1/", "", "^/", "(?i)/", "/?", "(?m)/", "(?s)/"]
ENDINGS = ["", "", "", "$", "/?", "|/b", r"\Z"]
PATH_WORDS = [
    "a",
    "b",
    "ab",
    "user",
    "12",
    "7",
    "x1",
    "photo_12",
    "photo_13",
    "a.b",
    "AB",
    "%2F",
    "a%20b",
    "é",
    "users",
]


def random_pattern(rand: random.Random) -> Any:
    """A pattern that Tornado takes: text, or compiled and so without a closing `$`."""
    while True:
        segments = [
            "".join(rand.choice(rand.choice([WORDS, WORDS, GROUPS])) for _ in range(rand.choice([1, 1, 2, 3])))
            for _ in range(rand.randrange(5))
        ]
        text: Any = rand.choice(OPENINGS) + "/".join(segments) + rand.choice(ENDINGS)
        try:
            pattern = re.compile(text) if rand.random() < 0.1 else text
            PathMatches(pattern)
        except (re.error, AssertionError):
            continue
        return pattern


def random_table(rand: random.Random, depth: int = 0) -> list[Any]:
    """Rules as plain data: kind, matcher, target; a list as target nests."""
    rows = []
    for _ in range(rand.randint(1, 9)):
        kind = rand.choice(["path"] * 10 + ["any", "host", "default"])
        is_nested = depth < 2 and rand.random() < (0.7 if kind == "any" else 0.15)
        target = random_table(rand, depth + 1) if is_nested else rand.randrange(40)
        matcher = random_pattern(rand) if kind == "path" else rand.choice(HOSTS)
        rows.append((kind, matcher, target))
    return rows


def random_asked(rand: random.Random, count: int = 25) -> list[tuple[str, str]]:
    """Paths and hosts to ask for."""

    def segment() -> str:
        return "".join(rand.choice(PATH_WORDS) for _ in range(rand.choice([0, 1, 1, 1, 1, 2])))

    return [
        (
            rand.choice(["/", "/", "/x/", "/api/v1/", ""])
            + "/".join(segment() for _ in range(rand.randrange(5)))
            + rand.choice(["", "", "", "", "\n"]),
            rand.choice(HOSTS),
        )
        for _ in range(count)
    ]


def rules(table: list[Any], application: web.Application) -> list[Rule]:
    """Fresh rules of *table*: routers change the rules that they are given."""
    made = []
    for kind, matcher, target in table:
        to = rules(target, application) if isinstance(target, list) else HANDLERS[target]
        kwargs = {} if isinstance(target, list) or target % 3 else {"number": target}
        if kind == "any":
            made.append(Rule(AnyMatches(), to, kwargs))
        elif kind == "host":
            made.append(Rule(HostMatches(matcher), to, kwargs))
        elif kind == "default":
            made.append(Rule(DefaultHostMatches(application, re.compile(re.escape(matcher))), to, kwargs))
        else:
            made.append(Rule(PathMatches(matcher), to, kwargs))
    return made


def compare(table: list[Any], asked: list[tuple[str, str]]) -> None:
    application = RecordingApplication()
    application.default_host = HOSTS[1]
    oracle = web._ApplicationRouter(application, rules(table, application))
    ours = ApplicationRouter(application, rules(table, application))
    for path, host in asked:
        request = request_for(path, host)
        assert answer(ours, request) == answer(oracle, request), (path, host)


def test_any_table_answers_as_tornado_does() -> None:
    for seed in range(300):
        rand = random.Random(seed)
        compare(random_table(rand), random_asked(rand))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_table_answers_as_tornado_does_at_length() -> None:
    for seed in range(1_000, 31_000):
        rand = random.Random(seed)
        compare(random_table(rand), random_asked(rand))


def test_long_flat_tables_answer_as_tornado_does() -> None:
    for seed in range(30):
        rand = random.Random(seed)
        compare([("path", random_pattern(rand), rand.randrange(40)) for _ in range(150)], random_asked(rand, 100))


def test_a_table_changed_between_look_ups_answers_as_tornado_does() -> None:
    for seed in range(100):
        rand = random.Random(seed)
        application = RecordingApplication()
        application.default_host = HOSTS[1]
        table = random_table(rand)
        both = [kind(application, rules(table, application)) for kind in (web._ApplicationRouter, ApplicationRouter)]
        for _ in range(4):
            change(both, rand, application)
            for path, host in random_asked(rand):
                oracle, ours = (answer(router, request_for(path, host)) for router in both)
                assert ours == oracle, (seed, path, host)


def change(both: list[Any], rand: random.Random, application: web.Application) -> None:
    """Make one change, the same in each router."""
    more, place, way = random_table(rand, 1), rand.randrange(6), rand.choice(["add", "insert", "delete", "assign"])
    for router in both:
        fresh = rules(more, application)
        if way == "add":
            router.add_rules(fresh)
        elif way == "insert":
            router.rules[place:place] = [router.process_rule(rule) for rule in fresh]
        elif way == "delete":
            del router.rules[place:]
        else:
            router.rules = [router.process_rule(rule) for rule in fresh] + router.rules[::-1]
