"""What Python 2 means is what the Python 3 text does."""

from pathlib import Path

import pytest

from tests.cli.port.porting import ported


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("len(a) / 2", "len(a) // 2"),
        ("(len(a) + 1) / len(b)", "(len(a) + 1) // len(b)"),
        ("int(a) / -(3)", "int(a) // -(3)"),
        ("100 / len(a) / 2", "100 // len(a) // 2"),
        ("len(a) / 2.0", "len(a) / 2.0"),
        ("a / 2", "a / 2"),
    ],
)
def test_python_2_divides_integers_into_integers(
    before: str, after: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ported(tmp_path / "a", capsys, f"print 'é', {before}\n") == f"print('é', {after})\n"
    future = f"from __future__ import division\nprint 'é', {before}\n"
    assert ported(tmp_path / "b", capsys, future).lstrip() == f"print('é', {before})\n"
    assert ported(tmp_path / "c", capsys, f"x = {before}\n") == f"x = {before}\n"


def test_one_line_of_python_2_makes_a_file_python_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where Python 3 would read it, with another meaning."""
    before = "import sys\nprint >>sys.stderr, 'a'\n"
    assert ported(tmp_path, capsys, before) == "import sys\nprint('a', file=sys.stderr)\n"
