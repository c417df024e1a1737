"""A server that is interrupted by one of its requests: `python -m tests.handler.interrupted SERVER LOOP PLACE`.

Prints what its one client received, and what ended the loop.
"""

import asyncio
import socket
import sys
from typing import Any

import tornado.httpserver
import uvloop
from tornado.netutil import bind_sockets

from torngas_aio.application import Application
from torngas_aio.handler import WebHandler
from torngas_aio.http.server import HTTPServer
from torngas_aio.middleware import BaseMiddleware

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def interrupt(request: Any, place: str) -> None:
    if request.path == f"/{place}":
        raise KeyboardInterrupt


class Page(WebHandler):
    async def get(self, place: str) -> None:
        interrupt(self.request, "method")
        await asyncio.sleep(0)
        self.finish("done")


class Hooks(BaseMiddleware):
    async def process_call(self, request: Any, clear: Any) -> None:
        interrupt(request, "call")

    async def process_response(self, handler: Any, clear: Any, chunk: list[bytes]) -> None:
        interrupt(handler.request, "response")

    async def process_endcall(self, handler: Any, clear: Any) -> None:
        print("endcall")  # noqa: T201
        interrupt(handler.request, "endcall")


async def serve(server: str, sock: socket.socket) -> None:
    application = Application([("/(.*)", Page)], middlewares=(Hooks,))
    servers = {"ours": HTTPServer, "tornado's": tornado.httpserver.HTTPServer}
    servers[server](application).add_sockets([sock])
    await asyncio.sleep(60)


def main(server: str, loop: str, place: str) -> None:
    (sock,) = bind_sockets(0, "127.0.0.1")
    with socket.create_connection(sock.getsockname(), timeout=10) as client:
        client.sendall(f"GET /{place} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        try:
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                runner.run(serve(server, sock))
        except KeyboardInterrupt:
            print("interrupted")  # noqa: T201
        print(client.recv(65536).decode().splitlines()[0])  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
