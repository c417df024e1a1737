"""A server process under mixed traffic, disconnects and malformed input: memory flat, no task or socket left.

`SOAK_SECONDS=600 pytest -m slow tests/soak` soaks for ten minutes and prints what it saw with `-s`.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.http.wire import Client, get
from tests.soak.visitors import LARGE_BYTES, VISITORS, Visitor, visit
from tests.webserver.project import SECRET, Project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
MEGABYTE = 1 << 20
LOST = ("ResourceWarning", "never retrieved", "never awaited", "Task was destroyed", "Exception ignored")

RUNSERVER = """
import os
os.environ.setdefault("TORNGAS_APP_SETTINGS", "setting")
from torngas_aio.webserver import run
from tests.soak.site import Site
run(Site)
"""

SETTING = f"""
MIDDLEWARE_CLASSES = (
    "torngas_aio.middleware.accesslog.AccessLogMiddleware",
    "torngas_aio.middleware.security.SecurityHeadersMiddleware",
    "torngas_aio.middleware.session.SessionMiddleware",
)
CACHES = {{
    "default": {{
        "BACKEND": "torngas_aio.cache.backends.localcache.LocMemCache",
        "OPTIONS": {{"MAX_RESERVED": 300}},  # visitors without a cookie would else be memory by right
    }},
}}
SESSION = {{"secret_key": "{SECRET}"}}
TORNADO_CONF = {{"cookie_secret": "{SECRET}", "template_path": "templates", "static_path": "statics"}}
TEMPLATE_CONFIG = {{"template_engine": "torngas_aio.template.jinja2_loader.Jinja2TemplateLoader"}}
LOGGING = tuple(
    {{"name": name, "level": "INFO", "log_to_stderr": False, "filename": name + ".log"}}
    for name in ("tornado", "torngas_aio.tracelog", "torngas_aio.accesslog", "torngas_aio.infolog")
)
"""


@dataclass(frozen=True)
class Stats:
    """What the server's process holds."""

    rss: int
    descriptors: int
    tasks: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss / MEGABYTE:.1f} MB, {self.descriptors} fds, {self.tasks} tasks, {self.threads} threads"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.write("runserver.py", RUNSERVER)
    made.write("setting.py", SETTING)
    made.write("templates/page.html", "<p>{{ visits }} visits</p>")
    made.write("statics/file.bin", "x" * 100_000)
    made.write("statics/large.bin", "x" * LARGE_BYTES)
    return made


class Soak:
    """Traffic on one server, and samples of what it holds meanwhile."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.address = (parts.hostname or "", parts.port or 0)
        self.visits: Counter[str] = Counter()
        self.samples: list[Stats] = []

    async def stats(self) -> Stats:
        async with await Client.connect(self.address) as client:
            answer = await client.ask(get("/stats"))
        return Stats(**json.loads(answer.body))

    async def run(self, seconds: float) -> None:
        """Send ten visitors at a time for so long; take a hundred samples."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(self._visits(Visitor(number), end))
            while time.monotonic() < end:
                self.samples.append(await self.stats())
                await asyncio.sleep(seconds / 100)

    async def _visits(self, visitor: Visitor, end: float) -> None:
        while time.monotonic() < end:
            self.visits[await visit(self.address, visitor)] += 1

    async def settled(self, goal: Stats | None = None) -> Stats:
        """What is held once the clients have gone: down to *goal*, or the least of a while without one."""
        least = await self.stats()
        for _ in range(30 if goal is None else 150):
            if goal is not None and least.descriptors <= goal.descriptors and least.tasks <= goal.tasks:
                break
            await asyncio.sleep(0.1)
            now = await self.stats()
            least = min(least, now, key=lambda stats: (stats.tasks, stats.descriptors))
        return least

    def quarter(self, number: int) -> float:
        """The median of the resident bytes in one quarter of the time, 0 to 3."""
        size = len(self.samples) // 4
        return statistics.median(sample.rss for sample in self.samples[number * size : (number + 1) * size])

    def report(self, before: Stats, after: Stats) -> str:
        quarters = " ".join(f"{self.quarter(number) / MEGABYTE:.1f}" for number in range(4))
        most = max(self.samples, key=lambda sample: sample.descriptors)
        return (
            f"{self.visits.total()} visits {dict(self.visits)}\nbefore: {before}\nafter:  {after}\n"
            f"MB by quarters: {quarters}; at the busiest: {most}"
        )


async def soak(project: Project, seconds: float, growth: float) -> None:
    """Soak for *seconds*; memory may grow by the bytes *growth* from the third quarter to the fourth."""
    with project.serve("--port=0", "--address=127.0.0.1") as server:
        soaked = Soak(server.address)
        await soaked.run(2)  # loads what is loaded at first use
        before = await soaked.settled()
        soaked.samples.clear()
        await soaked.run(seconds)
        after = await soaked.settled(before)
        told = soaked.report(before, after)
        print(told)  # noqa: T201  the figures, for -s
        server.terminate()
        assert server.wait() == 0
    assert set(soaked.visits) == {act.__name__ for act in VISITORS}, told
    assert after.descriptors <= before.descriptors, told
    assert after.tasks <= before.tasks, told
    assert soaked.quarter(3) - soaked.quarter(2) < growth, told
    logs = [server.log, *(path.read_text(encoding="utf-8") for path in (project.path / "logs").iterdir())]
    assert [word for word in LOST if any(word in log for log in logs)] == []
    assert any("broken on purpose" in log for log in logs)


@pytest.mark.timeout(120)
async def test_nothing_is_left_behind_by_a_little_of_everything(project: Project) -> None:
    await soak(project, 5, 32 * MEGABYTE)


@pytest.mark.slow
@pytest.mark.timeout(SOAK_SECONDS + 180)
async def test_memory_is_flat_and_nothing_left_behind_by_long_traffic(project: Project) -> None:
    await soak(project, SOAK_SECONDS, 4 * MEGABYTE)
