"""The debug report as text and as problem details."""

import json
from typing import Any

from tests.errorpage.test_render import debug, handler, raised
from torngas_aio.errorpage import render_error
from torngas_aio.exception import InvalidJson


def test_control_characters_and_lone_surrogates_are_shown_by_number() -> None:
    def odd() -> None:
        raise ValueError("a\x00b\ud800c\u202ed")

    for accept in ("text/html", "text/plain", "application/json"):
        body = debug(exc_info=raised(odd), accept=accept).body
        assert b"\x00" not in body
        assert body.decode()
    assert "a\\x00b\\xd800c\\x202ed" in debug(exc_info=raised(odd)).body.decode()


def test_problem_details_are_those_of_the_standard() -> None:
    def bad() -> None:
        raise InvalidJson("The body is empty; JSON was expected.")

    given: dict[str, Any] = {"handler": handler(), "accept": "application/json"}
    answer = render_error(**given, status=400, reason="Bad Request", exc_info=raised(bad))
    assert answer.content_type == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "The body is empty; JSON was expected.",
    }
    assert json.loads(render_error(**given, status=499, reason="Odd").body)["title"] == "Odd"
    failed = json.loads(render_error(**given, status=500, reason="Internal Server Error").body)
    assert len(failed["request_id"]) == 16
