"""shell: a prompt in the project."""

from pathlib import Path

import pytest

from tests.cli.test_routes import Capture
from torngas_aio.cli import main


class TestShell:
    def test_await_works(self, project: Path, capsys: Capture) -> None:
        """Several lines; the project's names are there, and the application is started."""
        code = (
            "import asyncio\n"
            "await cache.set('a', 5)\n"
            "print(await cache.get('a'), settings.DEBUG, application.lifespan.is_open)\n"
        )
        assert main(["shell", "-c", code]) == 0
        assert capsys.readouterr().out == "5 True True\n"

    def test_an_error_is_shown_and_counts(self, project: Path, capsys: Capture) -> None:
        """Status 1, with the traceback; also for what is no Python."""
        assert main(["shell", "-c", "await cache.get('a')\n1/0"]) == 1
        assert "ZeroDivisionError" in capsys.readouterr().err
        assert main(["shell", "-c", "this is no python"]) == 1
        assert "SyntaxError" in capsys.readouterr().err

    def test_exit_ends_it(self, project: Path) -> None:
        """With its status, after the application was shut down."""
        with pytest.raises(SystemExit) as caught:
            main(["shell", "-c", "raise SystemExit(3)"])
        assert caught.value.code == 3

    def test_a_prompt_reads_until_the_end(
        self, project: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An error ends nothing; names last from line to line."""
        typed = iter(["x = await cache.get('no', 7)", "1/0", "print(x + 1)"])

        def read(prompt: str = "") -> str:
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)
        assert main(["shell"]) == 0
        captured = capsys.readouterr()
        assert captured.out.strip() == "8"
        assert "ZeroDivisionError" in captured.err
        assert "`await` works" in captured.err
