"""Running mounted applications: opened and closed with ours, called for each request.

    RunningASGI  lifespan.startup ... lifespan.shutdown, in a separate task
    RunningWSGI  a2wsgi, in threads

SPEC: ASGI 3.0, lifespan 2.0.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from torngas_aio._cleanup import CLOSE_SECONDS, cancel_tasks, is_imposed
from torngas_aio.exception import ConfigError
from torngas_aio.http.base import ClientGone

__all__ = ["RunningASGI", "RunningWSGI"]

logger = logging.getLogger("torngas_aio.mounts")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class RunningASGI:
    """A running ASGI application.

    Attributes:
        state: Set by its lifespan in `scope["state"]`; each request gets a copy.
    """

    def __init__(self, application: Any, title: str) -> None:
        self._application = application
        self._title = title
        self.state: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None
        self._reply: asyncio.Future[_Message] | None = None
        self._events: asyncio.Queue[_Message] | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        await self._application(scope, receive, send)

    async def open(self) -> None:
        """Start the lifespan; an application without one is only called for requests.

        Raises:
            ConfigError: The application reports that it could not start.
        """
        self.state.clear()
        self._events = asyncio.Queue()
        self._task = asyncio.create_task(self._run_lifespan(), name=f"lifespan of {self._title}")
        try:
            reply = await self._send_event("startup")
        except BaseException:
            await cancel_tasks({self._task})
            raise
        if reply is not None and reply["type"] == "lifespan.startup.failed":
            await cancel_tasks(() if self._task.done() else {self._task})
            raise ConfigError(
                f"{self._title} did not start: {reply.get('message') or 'it gives no reason'}.", code="TGA301"
            )

    async def close(self) -> None:
        """End the lifespan."""
        task = self._task
        if task is None or task.done():
            return
        try:
            reply = await self._send_event("shutdown")
            if reply is not None and reply["type"] == "lifespan.shutdown.failed":
                logger.error("%s did not shut down: %s", self._title, reply.get("message", ""))
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
        finally:
            await cancel_tasks(() if task.done() else {task})

    async def _send_event(self, event: str) -> _Message | None:
        """Return the application's reply to *event*; None if it has ended without one."""
        assert self._events is not None
        assert self._task is not None
        self._reply = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": f"lifespan.{event}"})
        await asyncio.wait((self._reply, self._task), return_when=asyncio.FIRST_COMPLETED)
        return self._reply.result() if self._reply.done() else None

    async def _run_lifespan(self) -> None:
        assert self._events is not None
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._events.get, self._note)
        except BaseException as exc:
            if is_imposed(exc):
                raise
            # SPEC: ASGI lifespan 2.0: an application that raises at once does not support the lifespan.
            logger.debug("%s has no lifespan.", self._title, exc_info=exc)

    async def _note(self, message: _Message) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(message)


class RunningWSGI:
    """A WSGI application in its own threads. Extra `mount`."""

    def __init__(self, application: Any, threads: int) -> None:
        self._application = application
        self._threads = threads
        self.state: dict[str, object] = {}
        self._middleware: Any = None

    async def open(self) -> None:
        """Create the threads.

        Raises:
            ConfigError: a2wsgi is not installed.
        """
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError as exc:
            raise ConfigError("mount() of a WSGI application: install torngas-aio[mount].", code="TGA105") from exc
        self._middleware = WSGIMiddleware(self._serve, workers=self._threads)

    async def close(self) -> None:
        """Let the threads end; those that serve a request end after it."""
        self._middleware.executor.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one request; if its client leaves or it is cancelled, the application's iterable is closed."""
        fields = [pair for pair in scope["headers"] if b"_" not in pair[0]]  # `environ` cannot tell "_" from "-"
        call = _Call(receive, send)
        task = asyncio.ensure_future(
            self._middleware({**scope, "headers": fields, "torngas_aio.call": call}, call.receive, call.send)
        )
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            call.has_ended.set()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)  # until the thread yields its next part
            await cancel_tasks(() if task.done() else {task})
            raise
        if call.error is not None:
            raise call.error

    def _serve(self, environ: Any, start_response: object) -> Iterator[bytes]:
        call: _Call = environ["asgi.scope"]["torngas_aio.call"]
        parts = self._application(environ, start_response)
        try:
            for part in parts:
                if call.has_ended.is_set():
                    return
                yield part
        finally:
            if hasattr(parts, "close"):
                parts.close()


class _Call:
    """The messages of one request.

    A failed `send` must not raise: a2wsgi would stop reading its queue, and the thread would wait on it without limit.
    """

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self.has_ended = threading.Event()
        self.error: Exception | None = None
        self._receive = receive
        self._send = send

    async def receive(self) -> _Message:
        """Return the next part of the body.

        Raises:
            ClientGone: The client left; returning the end would make a truncated body look complete.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client closed the connection.")
        return message

    async def send(self, message: _Message) -> None:
        """Send *message*; after a failure, drop it."""
        if self.has_ended.is_set():
            return
        try:
            await self._send(message)
        except Exception as exc:  # noqa: BLE001  raised by the caller
            self.error = exc
            self.has_ended.set()
