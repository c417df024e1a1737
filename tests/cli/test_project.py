"""What commands share: tables as text."""

from torngas_aio.cli.project import table


def test_columns_are_as_wide_as_their_widest_cell_and_the_last_as_it_is() -> None:
    rows = [("a", "1", "all of it"), ("longer", "22", "")]
    assert table(("job", "n", "error"), rows) == "job     n   error\na       1   all of it\nlonger  22"
