"""Mounted applications as they run: opened and closed with ours, called for each request.

    RunningASGI  lifespan.startup ... lifespan.shutdown, in a task of its own
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
    """An ASGI application.

    Attributes:
        state: What its lifespan has put into `scope["state"]`; each request gets a copy.
    """

    def __init__(self, application: Any, title: str) -> None:
        self._application = application
        self._title = title
        self.state: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[_Message] | None = None
        self._questions: asyncio.Queue[_Message] | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        await self._application(scope, receive, send)

    async def open(self) -> None:
        """Start the lifespan; an application that has none is left alone.

        Raises:
            ConfigError: The application says that it could not start.
        """
        self.state.clear()
        self._questions = asyncio.Queue()
        self._task = asyncio.create_task(self._live(), name=f"lifespan of {self._title}")
        try:
            answer = await self._ask("startup")
        except BaseException:
            await cancel_tasks({self._task})
            raise
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await cancel_tasks(() if self._task.done() else {self._task})
            raise ConfigError(
                f"{self._title} did not start: {answer.get('message') or 'it gives no reason'}.", code="TGA301"
            )

    async def close(self) -> None:
        """End the lifespan."""
        task = self._task
        if task is None or task.done():
            return
        try:
            answer = await self._ask("shutdown")
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                logger.error("%s did not shut down: %s", self._title, answer.get("message", ""))
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
        finally:
            await cancel_tasks(() if task.done() else {task})

    async def _ask(self, event: str) -> _Message | None:
        """Return what the application answers to *event*; None where it has ended without an answer."""
        assert self._questions is not None
        assert self._task is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._questions.put_nowait({"type": f"lifespan.{event}"})
        await asyncio.wait((self._answer, self._task), return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _live(self) -> None:
        assert self._questions is not None
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._questions.get, self._note)
        except BaseException as exc:
            if is_imposed(exc):
                raise
            # SPEC: ASGI lifespan 2.0: an application that raises at once does not want to be told.
            logger.debug("%s has no lifespan.", self._title, exc_info=exc)

    async def _note(self, message: _Message) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)


class RunningWSGI:
    """A WSGI application in threads of its own. Extra `mount`."""

    def __init__(self, application: Any, threads: int) -> None:
        self._application = application
        self._threads = threads
        self.state: dict[str, object] = {}
        self._middleware: Any = None

    async def open(self) -> None:
        """Prepare the threads.

        Raises:
            ConfigError: a2wsgi is not installed.
        """
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError as exc:
            raise ConfigError("mount() of a WSGI application: install torngas-aio[mount].", code="TGA105") from exc
        self._middleware = WSGIMiddleware(self._serve, workers=self._threads)

    async def close(self) -> None:
        """Let the threads end; those that answer a request end after it."""
        self._middleware.executor.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request; when its client goes or it is cancelled, the application's answer is closed."""
        fields = [pair for pair in scope["headers"] if b"_" not in pair[0]]  # in `environ` they look like others
        call = _Call(receive, send)
        task = asyncio.ensure_future(
            self._middleware({**scope, "headers": fields, "torngas_aio.call": call}, call.receive, call.send)
        )
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            call.has_ended.set()
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)  # until the thread's next part
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
    """The messages of one call.

    A failed `send` must not raise: a2wsgi would read its queue no longer, and the thread would wait on it for ever.
    """

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self.has_ended = threading.Event()
        self.error: Exception | None = None
        self._receive = receive
        self._send = send

    async def receive(self) -> _Message:
        """Return the next part of the body.

        Raises:
            ClientGone: There is none: a body that was cut must not be taken for a whole one.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client closed the connection.")
        return message

    async def send(self, message: _Message) -> None:
        """Send *message*, or drop it once one could not be sent."""
        if self.has_ended.is_set():
            return
        try:
            await self._send(message)
        except Exception as exc:  # noqa: BLE001  raised by the caller
            self.error = exc
            self.has_ended.set()
