"""A program with worker processes, for the tests of the supervisor: prints its port, then serves.

Usage: python -m tests.http.supervised WORKERS [shared] [ready_timeout=SECONDS] [graceful_timeout=SECONDS]

What new workers do is read from the file that `FATE` names: "serve", "fail", "hang".
"""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tornado.netutil import bind_sockets

from torngas_aio.http.request import Request
from torngas_aio.http.server import HTTPServer
from torngas_aio.http.supervisor import Supervisor, Worker, bind_for_workers


class Site:
    """Answers with the number of its process."""

    async def serve_request(self, request: Request) -> None:
        if request.path == "/die":
            os._exit(7)
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        if request.path == "/stuck":
            await asyncio.sleep(60)
        request.connection.respond(200, "OK", [], str(os.getpid()).encode(), False)  # type: ignore[union-attr]


def serve(worker: Worker) -> None:
    fate = Path(os.environ["FATE"]).read_text(encoding="utf-8")
    if fate == "fail":
        raise RuntimeError("as told")
    if fate == "hang":
        time.sleep(60)
    asyncio.run(run(worker))
    if fate == "leave badly":
        sys.exit(5)


async def run(worker: Worker) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    worker.when_orphaned(stop.set)
    server = HTTPServer(Site())
    server.add_sockets(worker.sockets)
    await server.started()
    worker.ready()
    await stop.wait()
    await server.stop_gracefully(5)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    workers, *words = sys.argv[1:]
    options: Any = {name: float(value) for name, _, value in (word.partition("=") for word in words) if value}
    own = bind_for_workers(0, "127.0.0.1", int(workers))
    shared = bind_sockets(0, "127.0.0.1") if "shared" in words else None
    print((shared or own[0])[0].getsockname()[1], flush=True)  # noqa: T201  what the test waits for
    return Supervisor(serve, shared or own, int(workers), **options).run()


if __name__ == "__main__":
    sys.exit(main())
