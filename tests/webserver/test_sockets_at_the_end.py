"""WebSockets of a process that is told to stop: closed with 1001, their endcall hooks run, status 0."""

import asyncio
import signal
from pathlib import Path

import pytest
from tornado.websocket import websocket_connect

from tests.polling import until
from tests.webserver.project import SECRET, Project

pytestmark = pytest.mark.timeout(90)  # starts processes, on machines that may be busy

RUNSERVER = f"""
import sys
from torngas_aio.application import Application
from torngas_aio.handler import WebSocketHandler
from torngas_aio.settings_manager import settings
from torngas_aio.webserver import Server

class Socket(WebSocketHandler):
    async def on_message(self, message):
        await self.write_message(message)

class Watch:
    async def process_endcall(self, handler, clear):
        print("endcall hook", file=sys.stderr, flush=True)

    async def process_shutdown(self, application):
        print("shutdown hook", file=sys.stderr, flush=True)

settings.configure(TORNADO_CONF={{"cookie_secret": "{SECRET}"}})
server = Server()
server.parse_command()
server.load_all(Application([("/ws", Socket)], middlewares=[Watch], cookie_secret="{SECRET}"))
server.start()
"""


@pytest.mark.parametrize(("workers", "renewed"), [(1, "Serving on"), (2, " has ended (process")])
async def test_a_renewal_closes_sockets_with_1012(tmp_path: Path, workers: int, renewed: str) -> None:
    """Their clients may come back at once; a stop after it says 1001."""
    project = Project(tmp_path)
    project.write("runserver.py", RUNSERVER)
    server = project.serve("--port=0", "--address=127.0.0.1", f"--workers={workers}")
    await asyncio.to_thread(server.__enter__)
    try:
        for number, code in ((signal.SIGHUP, 1012), (signal.SIGTERM, 1001)):
            socket = await websocket_connect(server.address.replace("http", "ws", 1) + "/ws")
            await socket.write_message("ping")
            assert await socket.read_message() == "ping"
            server.terminate(number)
            async with asyncio.timeout(20):
                assert await socket.read_message() is None
            assert socket.close_code == code
            socket.close()
            if number == signal.SIGHUP:
                await until(lambda: server.log.count(renewed) >= 2)
        assert await asyncio.to_thread(server.wait) == 0, server.log
        assert f"the code that is in {tmp_path} " in server.log
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.mark.parametrize("http_server", ["torngas_aio", "tornado"])
async def test_sigterm_closes_sockets_with_1001(tmp_path: Path, http_server: str) -> None:
    project = Project(tmp_path)
    project.write("runserver.py", RUNSERVER)
    server = project.serve("--port=0", "--address=127.0.0.1", f"--http_server={http_server}")
    await asyncio.to_thread(server.__enter__)
    try:
        socket = await websocket_connect(server.address.replace("http", "ws", 1) + "/ws")
        await socket.write_message("ping")
        assert await socket.read_message() == "ping"
        server.terminate()
        async with asyncio.timeout(20):
            assert await socket.read_message() is None
        assert socket.close_code == 1001
        socket.close()
        assert await asyncio.to_thread(server.wait) == 0
        assert server.log.count("endcall hook") == 1
        assert server.log.index("endcall hook") < server.log.index("shutdown hook")
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)
