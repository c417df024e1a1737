"""The outbox and the keys of jobs: two tables in the project's database, and so part of its transactions.

    enqueue   inserts a row in the caller's transaction; after its commit the job is sent
    relay     workers resend unfinished jobs after 1, 2, 4, ... minutes, at most one hour
    the job   deletes its row and inserts its key in its own transaction: its effects in this database happen once

`torngas-aio syncdb`, or a migration of `torngas-aio db`, creates the tables.
"""

import asyncio
import hashlib
import logging
import time
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, delete, insert, select, update
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from taskiq import TaskiqMessage

from torngas_aio.db._connections import codes_of
from torngas_aio.db.dbalchemy import Connector, DbSession, current_session, metadata_of, session_scope
from torngas_aio.exception import ArgumentError, BaseError
from torngas_aio.jobs.base import BaseJobs
from torngas_aio.logger import OutageLog

__all__ = ["claim", "discard", "postpone", "run_outbox", "tables_of", "write"]

logger = logging.getLogger("torngas_aio.jobs")
_outages = OutageLog(logger)

RELAY_SECONDS = 5.0
RESEND_SECONDS = 60.0
LONGEST_RESEND_SECONDS = 3600.0
BATCH = 100

_LOCK_FAULTS = frozenset({1205, 1213, "40P01", "55P03", "SQLITE_BUSY"})  # codes of MySQL, PostgreSQL and SQLite


def tables_of(database: str) -> tuple[Table, Table]:
    """Return the outbox and keys tables in the metadata of the connection *database*."""
    metadata = metadata_of(database)
    if "torngas_job_outbox" not in metadata.tables:
        Table(
            "torngas_job_outbox",
            metadata,
            Column("id", String(64), primary_key=True),
            Column("alias", String(100), nullable=False),
            Column("queue", String(100), nullable=False),
            Column("data", LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
            Column("due_at", BigInteger, nullable=False, index=True),  # milliseconds since 1970
            Column("sends", Integer, nullable=False),
            # Messages of an earlier attempt are ignored. The default is for adding the column to a table with rows.
            Column("attempt", Integer, nullable=False, server_default="0"),
        )
        Table(
            "torngas_job_keys",
            metadata,
            Column("digest", String(64), primary_key=True),  # of the key: collations treat some texts as equal
            Column("expires_at", BigInteger, nullable=False, index=True),
        )
    return metadata.tables["torngas_job_outbox"], metadata.tables["torngas_job_keys"]


async def write(backend: BaseJobs, message: TaskiqMessage, delay: float = 0.0) -> DbSession:
    """Write *message*, due in *delay* seconds, to the outbox in the current transaction; return the session.

    Raises:
        ArgumentError: There is no current session.
    """
    try:
        session = current_session(backend.database)
    except RuntimeError as exc:
        raise ArgumentError(f"{message.task_name} has outbox=True and is written in a transaction. {exc}") from None
    outbox, _ = tables_of(backend.database)
    sent = backend.formatter.dumps(message)
    await session.execute(
        insert(outbox).values(
            id=message.task_id,
            alias=backend.alias,
            queue=message.labels["queue_name"],
            data=sent.message,
            due_at=_now() + int((delay + RESEND_SECONDS) * 1000),
            sends=1,
            attempt=0,
        )
    )
    return session


async def claim(backend: BaseJobs, message: TaskiqMessage, key_ttl: float) -> bool:
    """Return whether the job must still run; the claim is part of its session's transaction.

    False for a duplicate of an outbox job that runs elsewhere or has failed since. If another job with the same key is
    running, this waits for it.
    """
    session = current_session(backend.database).using_master()
    while True:
        try:
            return await _claim(session, backend.database, message, key_ttl)
        except DBAPIError as exc:
            if not _is_lock_fault(exc):
                raise
            await session.rollback()


async def _claim(session: DbSession, database: str, message: TaskiqMessage, key_ttl: float) -> bool:
    outbox, keys = tables_of(database)
    is_in_outbox = message.labels.get("outbox")
    if is_in_outbox:
        attempt = outbox.c.attempt == message.labels.get("attempt", 0)
        mine = select(outbox.c.id).where(outbox.c.id == message.task_id, attempt).with_for_update(skip_locked=True)
        if (await session.execute(mine)).first() is None:
            await session.rollback()
            return False
    key, is_new = message.labels.get("key"), True
    if key is not None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        try:
            await session.execute(insert(keys).values(digest=digest, expires_at=_now() + int(key_ttl * 1000)))
        except IntegrityError:
            await session.rollback()
            is_new = False
    if is_in_outbox:
        found: Any = await session.execute(delete(outbox).where(outbox.c.id == message.task_id))
        is_new = is_new and bool(found.rowcount)
    if not is_new:
        await session.commit()
    return is_new


async def discard(backend: BaseJobs, message: TaskiqMessage) -> None:
    """Delete the row of a dead letter from the outbox."""
    outbox, _ = tables_of(backend.database)
    await _execute(backend.database, delete(outbox).where(outbox.c.id == message.task_id))


async def postpone(backend: BaseJobs, message: TaskiqMessage, pause: float) -> bool:
    """Write *message*, the next attempt, to its row; return False if another copy of the job has done so.

    Args:
        pause: Seconds until that attempt; the relay waits longer.
    """
    outbox, _ = tables_of(backend.database)
    attempt = message.labels["attempt"]
    mine = update(outbox).where(outbox.c.id == message.task_id, outbox.c.attempt == attempt - 1)
    due_at = _now() + int((pause + RESEND_SECONDS) * 1000)
    data = backend.formatter.dumps(message).message
    return await _execute(backend.database, mine.values(data=data, attempt=attempt, due_at=due_at, sends=1)) > 0


async def run_outbox(backend: BaseJobs) -> None:
    """Resend unfinished jobs of the outbox, and delete expired keys, until cancelled."""
    outbox, keys = tables_of(backend.database)
    forgot_at, is_there = 0.0, False
    while True:
        try:
            if not is_there:
                there = await Connector.get_conn(backend.database).existing_tables()
                is_there = {outbox.name, keys.name} <= set(there)
            if is_there:
                while await relay(backend) == BATCH:
                    pass
                if time.monotonic() - forgot_at > RESEND_SECONDS:
                    await _execute(backend.database, delete(keys).where(keys.c.expires_at < _now()))
                    forgot_at = time.monotonic()
        except (BaseError, SQLAlchemyError) as exc:
            _outages.report((backend.alias, "outbox"), "The outbox of jobs waits: %s", exc)
        await asyncio.sleep(RELAY_SECONDS)


async def relay(backend: BaseJobs) -> int:
    """Resend due jobs of the outbox, except running ones; return how many were sent, at most BATCH."""
    outbox, _ = tables_of(backend.database)
    now = _now()
    due = select(outbox).where(outbox.c.alias == backend.alias, outbox.c.due_at <= now).order_by(outbox.c.due_at)
    async with session_scope(backend.database) as session:
        session.using_master()
        # The rows of jobs that run are locked by their transactions; of two workers each gets its own.
        rows = (await session.execute(due.limit(BATCH).with_for_update(skip_locked=True))).all()
        for row in rows:
            pause = min(RESEND_SECONDS * 2 ** min(row.sends, 16), LONGEST_RESEND_SECONDS)
            later = update(outbox).where(outbox.c.id == row.id, outbox.c.due_at == row.due_at)
            await session.execute(later.values(due_at=now + int(pause * 1000), sends=row.sends + 1))
        await session.commit()
    for row in rows:
        await backend.put(row.queue, row.data)
    return len(rows)


async def _execute(database: str, statement: Any) -> int:
    """Execute *statement* in its own transaction; return the number of matched rows."""
    async with session_scope(database) as session:
        found: Any = await session.execute(statement)
        await session.commit()
        return int(found.rowcount)


def _is_lock_fault(error: BaseException) -> bool:
    """Return whether a statement failed because of another transaction's lock: a deadlock or a lock timeout."""
    return not _LOCK_FAULTS.isdisjoint(codes_of(error))


def _now() -> int:
    return time.time_ns() // 1_000_000
