"""The availability of one server, and whether a master accepts writes; probes repeat until the server is back.

    a statement, or opening a connection,
    has waited for SUSPECT_SECONDS ──► probe ── no answer within PROBE_SECONDS ──► is_down: calls fail at once
    a write was refused ─────────────►   │  ▲─ accepts no writes ────────────────► is_read_only: writes are 503
                                         │  │                                        │
                     answers, or refuses ┘  └──────────── again every PROBE_SECONDS ─┘

Each probe opens a new connection and resolves the host name again. A server that refuses connections is only logged,
because each caller gets that error immediately and notices the server's return. Callers wait for a probe only after a
refused write, to distinguish it from an error of the statement: 1290 is also raised by INTO OUTFILE, 25006 by a
transaction that was begun as READ ONLY.
"""

import asyncio
import enum
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

from torngas_aio._cleanup import close_safely
from torngas_aio._concurrency import BackgroundTask
from torngas_aio.db._connections import codes_of
from torngas_aio.exception import DatabaseUnavailable

__all__ = [
    "MYSQL_QUESTION",
    "PROBE_SECONDS",
    "SUSPECT_SECONDS",
    "Outage",
    "is_refusal",
    "mysql_takes_writes",
    "postgres_takes_writes",
]

logger = logging.getLogger("torngas_aio.db")

SUSPECT_SECONDS = 0.4
"""Seconds that a statement, or opening a connection, may take before the server is probed concurrently."""

PROBE_SECONDS = 0.4
"""Timeout of one probe, in seconds; also the pause between two probes of a server that is down."""


class _State(enum.Enum):
    """The state of a server; the value is the log message on entering it."""

    UP = "is back."
    DOWN = f"is down: no answer within {PROBE_SECONDS:g} s."
    REFUSED = "is down: it refuses connections, or its host cannot be reached."
    READ_ONLY = "is now read-only: writes are answered 503 until it, or the server that takes its name, takes them."


_OUT_OF_REACH = {_State.DOWN, _State.REFUSED}


class Outage:
    """The state of one server, in one event loop.

    Args:
        label: The server's name in messages.
        probe: Opens and closes a new connection; returns whether the server accepts the writes that it should, or
            raises; cancelled after `PROBE_SECONDS`.
        drop: Closes the pool's idle connections.

    Attributes:
        stale_before: A time of the monotonic clock. Connections opened before it are replaced, because of an outage,
            or because another server has the name now.
    """

    def __init__(
        self, label: str, probe: Callable[[], Awaitable[bool]], drop: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self.label = label
        self.stale_before = 0.0
        self._state = _State.UP
        self._began_at = 0.0
        self._probe = probe
        self._drop = drop
        self._probing = BackgroundTask(f"probe of {label}")
        self._asked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._numbers = itertools.count()
        self._waiting: dict[int, float] = {}
        self._connecting: set[asyncio.Timeout] = set()
        self._trusted_until = 0.0

    @property
    def is_down(self) -> bool:
        """Whether the last probe got no answer."""
        return self._state is _State.DOWN

    @property
    def is_read_only(self) -> bool:
        """Whether this is a master that accepted no writes at the last probe."""
        return self._state is _State.READ_ONLY

    def check(self) -> None:
        """Raise if the server is down.

        Raises:
            DatabaseUnavailable: It is down.
        """
        if self.is_down:
            seconds = monotonic() - self._began_at
            raise DatabaseUnavailable(
                f"{self.label} is down: it has not answered for {seconds:.1f} s. It is probed automatically. "
                "Is the server running and in reach?"
            )

    async def watched(self, connecting: Awaitable[object]) -> object:
        """Await *connecting*, which opens a connection; if it takes long, probe the server meanwhile.

        Raises:
            DatabaseUnavailable: The probe found the server down; nothing was sent to it yet.
            Exception: Any error of *connecting*.
        """
        number = self.begin()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._connecting.add(limit)
                try:
                    return await connecting
                finally:
                    self._connecting.discard(limit)
        except TimeoutError:
            if limit.expired():
                self.check()
            raise
        except Exception as exc:
            if _is_refusal(exc):
                self.suspect()
            raise
        finally:
            self.end(number)

    def begin(self) -> int:
        """Register the start of an exchange with the server; return its number, for `end`. Takes less than 1 us."""
        number = next(self._numbers)
        self._waiting[number] = monotonic()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        return number

    def end(self, number: int) -> None:
        """Register the end of an exchange, successful or not."""
        self._waiting.pop(number, None)

    def suspect(self) -> None:
        """Start a probe now; no effect while one is running."""
        if not self._probing.is_running:
            self._asked = asyncio.Event()
            self._probing.start(self._run)

    async def refuses_writes(self, own: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether a write was refused because the master is lost, not because of the statement.

        This opens a new connection to ask the server; concurrent callers share the result.

        Args:
            own: Asks on the connection on which the write was refused; it may lead to a different server.
        """
        if not self.is_read_only:
            self.suspect()
            await self._asked.wait()
        if self._state is not _State.UP:
            return True
        with suppress(Exception):  # that connection is lost as well
            if await own():
                return False
        logger.warning("%s is now another server: connections to the former one are replaced.", self.label)
        await self._replace_connections()
        return True

    def unavailable(self) -> DatabaseUnavailable:
        """Return the exception for a write that was refused because the master is lost."""
        return DatabaseUnavailable(
            f"{self.label} is read-only; nothing was written. The server, and any other that gets its host name, is "
            "probed automatically: writes resume with the first that accepts them."
        )

    async def aclose(self) -> None:
        """Stop probing. Calling it twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._probing.aclose()
        self._state = _State.UP

    def _look(self) -> None:
        """Suspect the server if its oldest exchange has waited too long."""
        self._timer = None
        started = next(iter(self._waiting.values()), None)
        if started is None:
            return
        self._timer = asyncio.get_running_loop().call_later(SUSPECT_SECONDS / 2, self._look)
        now = monotonic()
        if now - started >= SUSPECT_SECONDS and now >= self._trusted_until:
            self._trusted_until = now + now - started  # probes during one long statement become increasingly rare
            self.suspect()

    async def _run(self) -> None:
        try:
            while True:
                await self._enter(await self._asked_state())
                self._asked.set()
                if self._state is _State.UP:
                    return
                await asyncio.sleep(PROBE_SECONDS)
        finally:
            self._asked.set()

    async def _asked_state(self) -> _State:
        limit = asyncio.timeout(PROBE_SECONDS)
        try:
            async with limit:
                return _State.UP if await self._probe() else _State.READ_ONLY
        except Exception as exc:  # noqa: BLE001  # callers get the error themselves
            if limit.expired():
                return _State.DOWN
            if _is_refusal(exc) and not self.is_read_only:
                return _State.REFUSED
        return _State.READ_ONLY if self.is_read_only else _State.UP  # a master is back once it accepts writes

    async def _enter(self, state: _State) -> None:
        before, self._state = self._state, state
        if state is before:
            return
        if not {before, state} <= _OUT_OF_REACH:  # a change between DOWN and REFUSED is not logged again
            logger.warning("%s %s", self.label, state.value)
        if _State.READ_ONLY in {before, state}:
            await self._replace_connections()
        elif state is _State.DOWN:
            self._began_at = self.stale_before = monotonic()
            connecting, self._connecting = self._connecting, set()
            for limit in connecting:
                limit.reschedule(asyncio.get_running_loop().time())

    async def _replace_connections(self) -> None:
        self.stale_before = monotonic()
        if self._drop is not None:
            await close_safely(self.label, self._drop)


def _is_refusal(error: Exception) -> bool:
    """Return whether nothing listens at the server's address, as opposed to a server that rejected the client."""
    return any(isinstance(each, OSError) for each in (error, error.__cause__, error.__context__))


_REFUSALS = frozenset({1290, 1836, "25006"})

MYSQL_QUESTION = "SELECT @@global.read_only, @@global.innodb_read_only"
"""The query whose row `mysql_takes_writes` evaluates."""

_POSTGRES_QUESTION = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"


def is_refusal(error: BaseException | None) -> bool:
    """Return whether *error* may mean that the server accepts no writes."""
    return error is not None and any(code in _REFUSALS for code in codes_of(error))


def mysql_takes_writes(row: Iterable[object]) -> bool:
    """Return whether *row*, the result of `MYSQL_QUESTION`, is that of a server that accepts writes."""
    return all(str(value).upper() in {"0", "OFF"} for value in row)  # MariaDB 12: OFF, ON, NO_LOCK


async def postgres_takes_writes(connection: Any) -> bool:
    """Return whether the server of an asyncpg *connection* accepts writes.

    In a transaction aborted by a refused statement no query can run; then the parameter status that the server has
    reported is used, or True if it reports none (before PostgreSQL 14).
    """
    if connection.is_in_transaction():
        return bool(getattr(connection.get_settings(), "in_hot_standby", "off") != "on")
    return not await connection.fetchval(_POSTGRES_QUESTION)
