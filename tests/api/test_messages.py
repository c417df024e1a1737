"""Sentences about faulty values."""

import pytest

from tests.api.conftest import Row
from torngas_aio.api.conversion import Problems, make_converter


def test_messages_are_in_the_visitors_language(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Problems()
    monkeypatch.setattr("torngas_aio.api.messages.current_locale", lambda: Row(code="zh_CN"))
    make_converter(int).from_text("x", "query", "page", problems)
    assert problems.errors[0].message == "类型必须是 int。"
