"""An example, served by its own `runserver.py` in a process of its own, as a newcomer starts it."""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def served(example: str, *arguments: str, **environment: str) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client of *example*, which listens on a free port; it ends politely, with status 0."""
    logs = tempfile.TemporaryDirectory()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / example / "runserver.py"),
        "--port=0",
        "--address=127.0.0.1",
        f"--logging_dir={logs.name}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        async with httpx2.AsyncClient(base_url=await address_of(process), trust_env=False) as client:
            yield client
        process.terminate()
        output, _ = await process.communicate()
        assert process.returncode == 0, f"{process.returncode}: {output.decode()}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        logs.cleanup()


async def address_of(process: asyncio.subprocess.Process) -> str:
    """Wait for the line that says where it serves."""
    assert process.stdout is not None
    seen = []
    async with asyncio.timeout(40):
        while line := (await process.stdout.readline()).decode():
            seen.append(line)
            found = re.search(r"Serving on (http://[\d.:]+)/", line)
            if found:
                return found[1]
    raise AssertionError("The example did not start:\n" + "".join(seen))


async def token(client: httpx2.AsyncClient, path: str) -> str:
    """Return the XSRF token of the form at *path*."""
    found = re.search(r'name="_xsrf" value="([^"]+)"', (await client.get(path)).text)
    assert found is not None
    return found[1]
