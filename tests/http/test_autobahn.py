"""Autobahn's WebSocket test suite finds no fault in our server, with and without compression.

The suite runs on CPython 2.7 only; `nox -s autobahn` installs and runs it. By hand:
`WSTEST=/path/of/wstest pytest -m slow tests/http/test_autobahn.py`; `AUTOBAHN_CASES="1.* 2.*"` chooses cases.
"""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.http.conftest import Start
from torngas_aio.application import Application
from torngas_aio.handler import WebSocketHandler

WSTEST = os.environ.get("WSTEST", "")
CASES = os.environ.get("AUTOBAHN_CASES", "*").split()
SUITE_SECONDS = 3_000
GOOD = {"OK", "INFORMATIONAL"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WSTEST, reason="WSTEST names no wstest; `nox -s autobahn` installs it"),
    pytest.mark.timeout(SUITE_SECONDS),
]


class Echo(WebSocketHandler):
    max_message_size = 64 * 1024 * 1024  # cases 9.* send messages of 16 MiB

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))


class Deflating(Echo):
    def get_compression_options(self) -> dict[str, Any]:
        return {}


async def run_suite(url: str, cases: list[str], folder: Path) -> dict[str, str]:
    """Run the fuzzing client against *url*; return what it says about each case."""
    spec = {
        "outdir": str(folder),
        "servers": [{"agent": "torngas_aio", "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="ascii")
    command = [WSTEST, "--mode", "fuzzingclient", "--spec", str(folder / "spec.json")]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    report = json.loads((folder / "index.json").read_text(encoding="utf-8"))["torngas_aio"]
    return {case: worst(found) for case, found in report.items()}


def worst(found: dict[str, str]) -> str:
    """Return the verdict on a case; that on its close where its behaviour is right."""
    return found["behavior"] if found["behavior"] not in GOOD else found["behaviorClose"]


@pytest.mark.parametrize(
    ("handler", "left_out"), [(Echo, ("12", "13")), (Deflating, ())], ids=["plain", "permessage-deflate"]
)
async def test_autobahn_finds_no_fault(
    start: Start, tmp_path: Path, handler: type[Echo], left_out: tuple[str, ...]
) -> None:
    served = await start(Application([("/", handler)]))
    cases = CASES if CASES != ["*"] else [f"{group}.*" for group in range(1, 14) if str(group) not in left_out]
    verdicts = await run_suite(f"ws://127.0.0.1:{served.address[1]}/", cases, tmp_path)
    print(Counter(verdicts.values()))  # noqa: T201  the figures, for -s
    assert verdicts
    assert {case: verdict for case, verdict in verdicts.items() if verdict not in GOOD} == {}
