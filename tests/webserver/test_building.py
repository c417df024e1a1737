"""Faults of several judges are merged by what they are about, never by their wording."""

import pytest

from torngas_aio.exception import Fault
from torngas_aio.webserver.building import merge_faults

KNOWN = [
    Fault("first", path="MIDDLEWARE_CLASSES[0]", target="a.b.Middleware"),
    Fault("second", path="TRANSLATIONS_CONF['translations_dir']"),
    Fault("third, of no place"),
]


@pytest.mark.parametrize(
    ("fault", "is_new"),
    [
        (Fault("other words", path="TRANSLATIONS_CONF['translations_dir']"), False),
        (Fault("other words", path="TRANSLATIONS_CONF['format']"), True),
        (Fault("other words", path="ROUTE_MODULES['x']", target="a.b.Middleware"), False),
        (Fault("names 'a.b.Middleware' in passing", path="CORS['paths']"), True),
        (Fault("another, of no place"), True),
    ],
    ids=str,
)
def test_a_place_or_a_dotted_path_is_blamed_once(fault: Fault, is_new: bool) -> None:
    assert merge_faults(KNOWN, [fault]) == [*KNOWN, *([fault] if is_new else [])]


def test_modules_of_routes_are_not_blamed_while_the_routes_are_not_known() -> None:
    fault = Fault("no route has this name", path="ROUTE_MODULES['home']")
    assert merge_faults([], [fault]) == [fault]
    assert merge_faults([], [fault], without_urls=True) == []
