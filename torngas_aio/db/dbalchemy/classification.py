"""What a statement does to a database, seen before it runs: read, lock, or change.

    SELECT of tables, columns, known functions              read     a slave may answer
    SELECT ... FOR UPDATE                                    lock     the master; what is read next too
    INSERT, UPDATE, DELETE, DDL, CALL, unknown functions     change   the master, and reads follow it
    text("SELECT ...")                                       text     the master, unless a role says 'slave'

Begin with `effect_of`.
"""

import enum
import re
from typing import Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnClause, TextClause
from sqlalchemy.sql.functions import Function, FunctionElement
from sqlalchemy.sql.schema import Table

from torngas_aio._compat.sqlalchemy import has_common_table

__all__ = ["Effect", "effect_of"]


class Effect(enum.Enum):
    """What a statement does, as far as the routing must know."""

    READ = "read"
    TEXT = "text"
    LOCK = "lock"
    CHANGE = "change"


_READING_TEXT = re.compile(r"\s*(?:\(\s*)*(?:select|show|explain|describe|desc|values|pragma)\b", re.IGNORECASE)
_LOCKING_TEXT = re.compile(
    r"\bfor\s+(?:no\s+key\s+)?(?:update|share|key\s+share)\b|\block\s+in\s+share\b", re.IGNORECASE
)

# Functions that only compute. Any other may be a stored one, which may write: the master runs it.
_NAMES = """
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
_PURE = frozenset(_NAMES.split())


def effect_of(clause: object) -> Effect:
    """Return what *clause* does; whatever is not known to read counts as a change."""
    clause = getattr(clause, "_resolved", clause)  # a lambda's statement
    if isinstance(clause, TextClause):
        return _effect_of_text(clause.text)
    inner = getattr(clause, "element", None)  # select(Model).from_statement(text(...))
    if isinstance(inner, TextClause):
        return _effect_of_text(inner.text)
    if not getattr(clause, "is_select", False):
        return Effect.CHANGE
    if getattr(clause, "_for_update_arg", None) is not None:
        return Effect.LOCK
    if _is_plain(clause):
        return Effect.READ
    return _effect_of_parts(clause)


def _is_plain(clause: object) -> bool:
    """Whether *clause* selects tables and columns only.

    PERF: nearly every read of a model is: 0.5 us, where looking at every part costs 15 us and more.
    """
    columns = getattr(clause, "_raw_columns", None)
    if columns is None or has_common_table(clause):
        return False
    return all(
        isinstance(column, Table) or (isinstance(column, ColumnClause) and isinstance(column.table, Table))
        for column in columns
    )


def _effect_of_parts(clause: Any) -> Effect:
    found = Effect.READ
    for part in visitors.iterate(clause):
        if getattr(part, "is_dml", False) or part.__visit_name__ in _CHANGING:
            return Effect.CHANGE
        if getattr(part, "_for_update_arg", None) is not None:
            found = Effect.LOCK
        if isinstance(part, FunctionElement) and _may_write(part):
            return Effect.CHANGE
    return found


_CHANGING = frozenset({"next_value", "sequence"})


def _may_write(function: Any) -> bool:
    if not isinstance(function, Function):
        return function.__visit_name__ in _CHANGING
    return function.name.lower() not in _PURE or bool(function.packagenames)


def _effect_of_text(text: str) -> Effect:
    if not _READING_TEXT.match(text) or ";" in text.rstrip().rstrip(";"):
        return Effect.CHANGE
    return Effect.LOCK if _LOCKING_TEXT.search(text) else Effect.TEXT
