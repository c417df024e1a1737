"""What a debug report tells about one error."""

from typing import Any

import pytest

from tests.errorpage import test_render
from tests.errorpage.test_render import EVIL, debug, raised, read


class HostileNote:
    def __str__(self) -> str:
        raise SystemExit


def test_the_debug_page_shows_chain_source_and_locals() -> None:
    page = "".join(read(debug(exc_info=raised())).text)
    for part in (
        "RuntimeError",
        f"no post {EVIL}",
        "It was raised from:",
        "ValueError",
        'raise RuntimeError(f"no post {name}") from exc',
        "values",
        "GET",
        "/posts/12?page=2",
        "remote address",
        test_render.__file__,
    ):
        assert part in page, part


@pytest.mark.parametrize(
    "notes", [["pw=hunter2", "at work"], ["{'jwt': 'hunter2'}"], [HostileNote()], "pw=hunter2", None, ("pw=hunter2",)]
)
def test_notes_are_masked_and_cannot_break_the_page(notes: Any) -> None:
    def fail() -> None:
        error = RuntimeError("no")
        error.__notes__ = notes
        raise error

    page = debug(exc_info=raised(fail), accept="text/html").body.decode()
    assert "Traceback" in page
    assert "hunter2" not in page.split("def fail")[0]


def test_groups_notes_and_contexts_are_shown() -> None:
    def group() -> None:
        error = ExceptionGroup("two", [KeyError("one"), LookupError("other")])
        error.add_note("remember this")
        try:
            raise OSError("before")
        except OSError:
            raise error  # noqa: B904 - its context is what is shown

    page = "".join(read(debug(exc_info=raised(group))).text)
    for part in (
        "two",
        "KeyError",
        "LookupError",
        "remember this",
        "It happened while this was being handled:",
        "before",
    ):
        assert part in page
    text = debug(exc_info=raised(group), accept="text/plain").body.decode()
    assert "remember this" in text


def test_a_chain_that_bites_its_tail_ends() -> None:
    def circle() -> None:
        first, second = KeyError("first"), LookupError("second")
        first.__cause__, second.__cause__ = second, first
        raise first

    page = debug(exc_info=raised(circle), accept="text/plain").body.decode()
    assert page.count("KeyError: 'first'") == 1


def test_very_deep_tracebacks_are_shortened() -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("bottom")
        deep(level - 1)

    text = debug(exc_info=raised(lambda: deep(500)), accept="text/plain").body.decode()
    assert "frames left out" in text
    assert text.count(" deep\n") < 80
    assert "frames left out" in "".join(read(debug(exc_info=raised(lambda: deep(500)))).text)


def test_a_syntax_error_shows_its_line(tmp_path: Any) -> None:
    file = tmp_path / "broken.py"
    file.write_text("a = 1\nb = = 2\n")

    def broken() -> None:
        compile(file.read_text(), str(file), "exec")

    page = "".join(read(debug(exc_info=raised(broken))).text)
    assert "b = = 2" in page
