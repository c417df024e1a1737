"""The README's program answers as it says, its commands work where they stand, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from torngas_aio.testing import TestClient

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


async def test_hello_answers_as_shown() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    shown = re.search(r"\$ curl 'http://127.0.0.1:8000(.*)'\n +(.*)\n", README)
    assert found
    assert shown
    assert len(found[1].splitlines()) == 12
    names: dict[str, Any] = {"__name__": "app"}
    exec(compile(found[1], "app.py", "exec"), names)
    async with TestClient(names["application"]) as client:
        assert (await client.get(shown[1])).text == shown[2]


def test_the_pipeline_is_printed_as_shown() -> None:
    shown = re.search(r"    \$ cd (\S+)\n    \$ torngas-aio (.*)\n((?:    .*\n)+)", README)
    assert shown
    done = subprocess.run(
        [sys.executable, "-m", "torngas_aio", *shown[2].split()],
        capture_output=True, text=True, check=True, cwd=ROOT / shown[1],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    printed = done.stdout.splitlines()
    expected = [line[4:] for line in shown[3].splitlines() if line.strip() != "..."]
    assert [line for line in printed if line in expected] == expected


@pytest.mark.parametrize("command", ["demo", "tests"])
def test_the_two_commands_are_sessions(command: str) -> None:
    assert f"\n    bash .ci/nox {command} " in README
    assert f"\ndef {command}(" in (ROOT / "noxfile.py").read_text(encoding="utf-8")


def test_every_link_leads_to_a_file() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", README)]
    assert len(links) > 40
    assert [link for link in links if not (ROOT / link).exists()] == []
