"""A program with worker processes, for the tests of the supervisor: prints its port, then serves.

Usage: python -m tests.http.supervised WORKERS [shared | bound] [OPTION=NUMBER ...]

Options are those of `Supervisor`, `requests` after which a worker is replaced, and `silence` before it counts as hung.
Sockets are each worker's own, those of all, or bound by the first worker.
What new workers do is read from the file that `FATE` names: "serve", "fail", "hang", "hang but the first".
"""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from torngas_aio.http import supervisor
from torngas_aio.http.request import Request
from torngas_aio.http.server import HTTPServer
from torngas_aio.http.supervisor import Program, RenewalLimits, Supervisor
from torngas_aio.http.worker import Worker, current_worker
from torngas_aio.webserver.listeners import bind, bind_for_workers


class Site:
    """Answers with the number of its process."""

    async def serve_request(self, request: Request) -> None:
        if request.path == "/die":
            os._exit(7)
        if request.path in {"/slow", "/stuck"}:
            sys.stderr.write(f"answers {request.path}\n")
        if request.path == "/block":
            time.sleep(60)
        if request.path == "/slow":
            await asyncio.sleep(0.5)
        if request.path == "/stuck":
            await asyncio.sleep(60)
        request.connection.respond(200, "OK", [], str(os.getpid()).encode(), False)


def serve(worker: Worker) -> None:
    fate = Path(os.environ["FATE"]).read_text(encoding="utf-8")
    if fate == "fail":
        raise RuntimeError("as told")
    if fate == "hang" or (fate == "hang but the first" and worker.number):
        sys.stderr.write("hangs\n")
        time.sleep(60)
    asyncio.run(run(worker))
    if fate == "leave badly":
        sys.exit(5)


async def run(worker: Worker) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    site: Any = Site()
    site.serve_request = worker.counted(site.serve_request)
    server = HTTPServer(site)
    server.add_sockets(worker.sockets)
    worker.listen(on_orphaned=stop.set, add_sockets=server.add_sockets, remove_sockets=server.remove_sockets)
    await server.started()
    worker.ready()
    await stop.wait()
    await server.stop_gracefully(5)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    workers, *words = sys.argv[1:]
    if (worker := current_worker()) is not None:
        if not worker.sockets:
            worker.hand_over(bind_for_workers(0, "127.0.0.1", worker.workers))
            print(worker.sockets[0].getsockname()[1], flush=True)  # noqa: T201  what the test waits for
        serve(worker)
        return 0
    options: Any = {name: float(value) for name, _, value in (word.partition("=") for word in words) if value}
    limits = RenewalLimits(int(options.pop("requests", 0)))
    supervisor._HUNG_SECONDS = options.pop("silence", supervisor._HUNG_SECONDS)
    sockets = None
    if "bound" not in words:
        own = bind_for_workers(0, "127.0.0.1", int(workers))
        sockets = [bind(0, "127.0.0.1")] * int(workers) if "shared" in words else own
        print(sockets[0][0].getsockname()[1], flush=True)  # noqa: T201  what the test waits for
    return Supervisor(Program.of_this_process(), int(workers), sockets=sockets, limits=limits, **options).run()


if __name__ == "__main__":
    sys.exit(main())
