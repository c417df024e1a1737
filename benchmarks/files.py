"""What the applications serve and the runner asks for, made once for each run.

Begin with `made_files`.
"""

import atexit
import functools
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["SIZES", "made_files", "made_project"]

SIZES = {"small.css": 1_000, "middle.bin": 100_000, "large.bin": 3_000_000, "app.js": 20_000}

_ROOT = Path(__file__).parent.parent
_HANDLER = '''

class Plain(WebHandler):
    """What every application of the benchmark answers."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        await self.finish("Hello, World!")
'''


@functools.cache
def made_files() -> Path:
    """Return a folder with `statics/`, `cert.pem` and `key.pem`; it is removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="torngas-bench-")
    atexit.register(folder.cleanup)
    statics = Path(folder.name, "statics")
    statics.mkdir()
    for name, size in SIZES.items():
        (statics / name).write_bytes(content(size))
    (statics / "app.js.gz").write_bytes(gzip.compress(content(SIZES["app.js"])))
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7 -subj /CN=localhost "
        "-keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=folder.name, check=True, capture_output=True)
    return Path(folder.name)


def content(size: int) -> bytes:
    """Return the content of a file of *size* bytes."""
    return (b"0123456789abcde\n" * (size // 16 + 1))[:size]


@functools.cache
def made_project() -> Path:
    """Return a project as `startproject` makes it, with one more route, /plain."""
    parent = made_files() / "project"
    parent.mkdir()
    command = [sys.executable, "-m", "torngas_aio", "startproject", "shop"]
    environment = {"PYTHONPATH": str(_ROOT), "PATH": ""}
    subprocess.run(command, cwd=parent, check=True, capture_output=True, env=environment)
    handlers, urls = (parent / "shop" / "home" / name for name in ("handlers/main_handler.py", "urls.py"))
    handlers.write_text(handlers.read_text() + _HANDLER)
    before, _, after = urls.read_text().rpartition(")\n")
    urls.write_text(f'{before}    url(name="plain", pattern=r"/plain", handler="main_handler.Plain"),\n)\n{after}')
    return parent / "shop"
