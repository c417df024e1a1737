"""Connections of both layers: deadlines of statements, detection of closed idle connections, classification of errors.

    session_scope(timeout=None)  ─┐
    migrations, create_db         ┴─► limited(None): no deadline in the block      DDL: never a deadline
    "Access denied ..."  1045  ──────► The server refuses this user or password: correct them in the settings.

A server may close a connection while it is idle. Until the event loop has read the end of stream, the driver considers
the connection open, and the next statement fails without having been sent. `has_unread` detects this without a round
trip. `only_reads` decides whether a statement can be repeated.
"""

import re
import select
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from torngas_aio._masking import mask_urls

__all__ = [
    "PURE_FUNCTIONS",
    "STATEMENT_SECONDS",
    "advice_on",
    "codes_of",
    "deadline_of",
    "has_unread",
    "is_forbidden",
    "is_given_up",
    "limited",
    "only_reads",
    "said_by",
]

STATEMENT_SECONDS = 30.0
"""Default deadline of a statement, in seconds."""

_limit: ContextVar[float | None] = ContextVar("torngas_aio_db_deadline")

_LONG = re.compile(
    r"\s*(?:create|alter|drop|truncate|rename|optimize|analyze|repair|check|vacuum|reindex|cluster|refresh|load|copy)\b",
    re.IGNORECASE,
)


def deadline_of(statement: str, default: float | None) -> float | None:
    """Return the deadline of *statement* in seconds; None (no limit) for DDL and in blocks of `limited(None)`."""
    seconds = _limit.get(default)
    return None if seconds is None or _LONG.match(statement) else seconds


@contextmanager
def limited(seconds: float | None) -> Generator[None]:
    """Set the deadline of each statement in this block to *seconds*; None: no limit."""
    token = _limit.set(seconds)
    try:
        yield
    finally:
        with suppress(ValueError):  # a generator that is closed in another context, such as a pytest fixture's
            _limit.reset(token)


_PURE_NAMES = """
abs acos array_agg array_length ascii asin atan atan2 avg bit_and bit_count bit_or bit_xor ceil ceiling char
char_length character_length coalesce concat concat_ws convert cos cot count cube cume_dist curdate current_date
current_time current_timestamp current_user curtime database date date_add date_format date_part date_sub date_trunc
datediff datetime day dayname dayofmonth dayofweek dayofyear degrees dense_rank elt exp extract field find_in_set
first_value floor format from_days from_unixtime greatest group_concat grouping_sets hex hour if ifnull iif initcap
instr isnull json_agg json_array json_array_length json_build_array json_build_object json_contains json_extract
json_extract_path json_extract_path_text json_group_array json_group_object json_keys json_length json_object
json_query json_search json_type json_unquote json_value jsonb_agg jsonb_build_object julianday lag last_day
last_value lcase lead least left length ln local localtime localtimestamp locate log log10 log2 lower lpad ltrim
make_date make_interval match max md5 microsecond mid min minute mod month monthname now nth_value ntile nullif oct
octet_length percent_rank percentile_cont percentile_disc pi position pow power quarter quote radians rand random
rank regexp_like regexp_match regexp_matches regexp_replace regexp_substr repeat replace reverse right rollup round
row_number rpad rtrim second session_user sha1 sha2 sign similarity sin soundex space split_part sqrt std stddev
stddev_pop stddev_samp strcmp strftime string_agg strpos substr substring substring_index sum sysdate tan time
timediff timestamp timestampdiff to_char to_date to_days to_number to_timestamp to_tsquery to_tsvector total trim
trunc truncate ts_rank typeof ucase unhex unicode unix_timestamp unnest upper user utc_date utc_time utc_timestamp
var_pop var_samp variance version week weekday weekofyear year yearweek
"""
PURE_FUNCTIONS = frozenset(_PURE_NAMES.split())
"""SQL functions without side effects. Any other may be a stored function that writes."""

_KEYWORD_NAMES = """
all and any array as between by cast except exists filter from in intersect not on or over select some then union
using values when where with
"""
_HARMLESS = PURE_FUNCTIONS | set(_KEYWORD_NAMES.split())
_SELECT = re.compile(r"\s*select\b", re.IGNORECASE)
_INTO = re.compile(r"\binto\b", re.IGNORECASE)
_CALLED = re.compile(r"(\.?[^\s.,()=<>+*/%|!~-]+)\s*\(")


def only_reads(statement: str) -> bool:
    """Return whether *statement* is a SELECT without side effects, which can be repeated; False if uncertain."""
    if not _SELECT.match(statement) or _INTO.search(statement) or ";" in statement.rstrip().rstrip(";"):
        return False
    return all(name.lower() in _HARMLESS for name in _CALLED.findall(statement))


def has_unread(transport: Any) -> bool:
    """Return whether an idle connection has data that the loop has not read yet, usually the end of stream.

    Takes about 2 us. If True, the connection must be pinged before it is used.

    Args:
        transport: The connection's asyncio transport; None or a closed one returns True.
    """
    socket = None if transport is None or transport.is_closing() else transport.get_extra_info("socket")
    if socket is None:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


_OUT_OF_REACH = "Is the server running and in reach?"
_CREDENTIALS = "The server refuses this user or password: correct them in the settings, or create the user."
_NO_DATABASE = "The server has no database of this name: create it, or correct the name in the settings."
_FULL = "The server has as many connections as it allows: lower the pools' sizes, or raise its limit."
_HOST = "The server takes no connections of this user from this host: allow the host on the server."
_STARTING = "The server is starting up or shutting down: it refuses connections meanwhile."
_LOCKED = "The user's account is locked: ALTER USER ... ACCOUNT UNLOCK, on the server."
_EXPIRED = "The user's password has expired: set another on the server, and in the settings."

_ADVICE: dict[int | str, str] = {
    1040: _FULL,
    1042: "The server cannot resolve this host's address: check its DNS, or set skip-name-resolve there.",
    1044: "The user has no rights on this database: GRANT them on the server, or correct the database's name.",
    1045: _CREDENTIALS,
    1049: _NO_DATABASE,
    1053: _STARTING,
    1129: "The server has blocked this host after many broken connections: run FLUSH HOSTS there.",
    1130: _HOST,
    1203: _FULL,
    1226: "The user has used up a limit of its account (see its MAX_..._PER_HOUR): raise it on the server.",
    1251: "The server asks for a log-in method that the driver does not know: choose another for this user.",
    1698: _CREDENTIALS,
    1862: _EXPIRED,
    2059: "The server asks for a log-in method that the driver does not know: choose another for this user.",
    3118: _LOCKED,
    4151: _LOCKED,
    "28P01": _CREDENTIALS,
    "28000": "The server refuses this user, host or method (pg_hba.conf): correct the user, or allow it there.",
    "3D000": _NO_DATABASE,
    "42501": "The user has no right to connect to this database: GRANT CONNECT on the server.",
    "53300": _FULL,
    "55000": "The database takes no connections: ALTER DATABASE ... ALLOW_CONNECTIONS true, on the server.",
    "57P03": _STARTING,
}


_FORBIDDEN = frozenset({1142, 1143, 1193, 1227, 1305, 1370, "42501", "42883"})
_GIVEN_UP = frozenset({1317, 1969, 3024, "57014"})  # KILL QUERY, max_statement_time, max_execution_time; PostgreSQL's


def advice_on(error: BaseException) -> str:
    """Return a sentence that explains *error*, raised on opening a connection, and its fix."""
    for code in codes_of(error):
        if code in _ADVICE:
            return _ADVICE[code]
    return _OUT_OF_REACH


def is_forbidden(error: BaseException) -> bool:
    """Return whether *error* means a missing privilege, or a statement or object unknown to the server."""
    return any(code in _FORBIDDEN for code in codes_of(error))


def is_given_up(error: BaseException) -> bool:
    """Return whether *error* means that the server ended the statement: by its own time limit, or by an operator."""
    return any(code in _GIVEN_UP for code in codes_of(error))


def said_by(error: BaseException) -> str:
    """Return the driver's message, without the statement, its parameters, and passwords."""
    return mask_urls(f"{type(error).__name__}: {' '.join(str(arg) for arg in error.args)}")


def codes_of(error: BaseException) -> Iterator[int | str]:
    """Yield the codes of *error* and its causes: the first argument for MySQL, an attribute for the others."""
    cause: BaseException | None = error
    while cause is not None:
        codes = *cause.args[:1], getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorname", None)
        yield from (code for code in codes if isinstance(code, int | str))
        cause = cause.__cause__
