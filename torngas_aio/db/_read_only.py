"""Whether a server takes writes: a master that was made a replica, or set read-only, has stopped being a master.

    a write is refused (1290, 1836, 25006) ──► is_refusal: perhaps by the server, perhaps by the statement itself
    a connection is asked                  ──► mysql_takes_writes, postgres_takes_writes

1290 also comes from INTO OUTFILE, 25006 from a transaction that was begun as READ ONLY: the code alone says nothing.
Begin with `is_refusal`.
"""

from collections.abc import Iterable
from typing import Any

from torngas_aio.db._diagnosis import codes_of

__all__ = ["MYSQL_QUESTION", "is_refusal", "mysql_takes_writes", "postgres_takes_writes"]

_REFUSALS = frozenset({1290, 1836, "25006"})

MYSQL_QUESTION = "SELECT @@global.read_only, @@global.innodb_read_only"
"""Its row is for `mysql_takes_writes`."""

_POSTGRES_QUESTION = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'"


def is_refusal(error: BaseException | None) -> bool:
    """Whether *error* may mean that the server takes no writes."""
    return error is not None and any(code in _REFUSALS for code in codes_of(error))


def mysql_takes_writes(row: Iterable[Any]) -> bool:
    """Whether the row of `MYSQL_QUESTION` is that of a server which takes writes."""
    return all(str(value).upper() in {"0", "OFF"} for value in row)  # MariaDB 12: OFF, ON, NO_LOCK


async def postgres_takes_writes(connection: Any) -> bool:
    """Ask the server of an asyncpg *connection*.

    In a transaction, which a refused statement has broken off, nothing can be asked: then the answer is what the server
    has reported of itself, which before PostgreSQL 14 is nothing: True.
    """
    if connection.is_in_transaction():
        return bool(getattr(connection.get_settings(), "in_hot_standby", "off") != "on")
    return not await connection.fetchval(_POSTGRES_QUESTION)
