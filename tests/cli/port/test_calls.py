"""Which functions wait, followed through the files of a project."""

# ruff: noqa: E501  the texts of files
from pathlib import Path

import pytest

from tests.cli.port.porting import CACHE, port, ported
from tests.webserver.project import Project


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        (
            {"store.py": "from torngas.cache.backends.rediscache import *\n\nclient = RedisClient('127.0.0.1:6379', {})\n\n\ndef push(x):\n    return client._client.lpush('a', x)\n"},
            "store.py",
            "async def push(x):\n    return await client._client.lpush('a', x)\n",
        ),
        (
            {"store.py": "from torngas.cache.backends.localcache import *\n\ncache = LocMemCache('a', {})\n\n\ndef put(x):\n    cache.set('a', x)\n"},
            "store.py",
            "async def put(x):\n    await cache.set('a', x)\n",
        ),
        (
            {
                "base.py": CACHE + "def load():\n    return cache.get('a')\n",
                "middle.py": "from base import *\nfrom app import *\n",
                "app.py": "from middle import *\n\n\ndef f():\n    return load()\n",
            },
            "app.py",
            "async def f():\n    return await load()\n",
        ),
        (
            {
                "base.py": "from torngas.handler import *\n\n\nclass Base(WebHandler):\n    def load(self):\n        return self.render_string('a')\n",
                "app.py": "from base import *\n\n\nclass A(Base):\n    def get(self):\n        self.finish(self.load())\n",
            },
            "app.py",
            "    async def get(self):\n        self.finish(await self.load())\n",
        ),
        (
            {"one.py": "from two import *\n\n\ndef f():\n    return g()\n", "two.py": "from one import *\n\n\ndef g():\n    return f()\n"},
            "one.py",
            "def f():\n    return g()\n",
        ),
    ],
)  # fmt: skip
def test_names_are_followed_through_star_imports(
    files: dict[str, str], path: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    for name, text in files.items():
        project.write(name, text)
    port(project, capsys)
    assert (project.path / path).read_text().endswith(f"\n{expected}")


def test_a_tornado_project_keeps_its_own_sessions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ported(
        tmp_path, capsys,
        "class A(RequestHandler):\n    def get(self):\n        self.session.save()\n        self.write(self.render_string('a'))\n",
    )  # fmt: skip
    assert "await" not in made
