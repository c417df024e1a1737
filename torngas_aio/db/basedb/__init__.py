"""The small database layer: SQL with bound values, rows as objects, no models.

    sql.py             SQLQuery SQLParam SQLLiteral sqlquote sqllist ..., reparam: $name in text   ┐ no I/O
    statements.py      SELECT INSERT UPDATE DELETE for each dialect                                ┘
    opening.py         database(): from a URL or parameters to a Database
    database.py        Database                  rows.py  the rows of a SELECT
    transaction.py     transactions, savepoints  pool.py  connections of one event loop
    drivers/           sqlite (aiosqlite), mysql (aiomysql), postgres (asyncpg)

Begin with `database`.
"""

from torngas_aio._former_names import former_names
from torngas_aio.db.basedb.database import Database
from torngas_aio.db.basedb.opening import MySQLDB, PostgresDB, SqliteDB, database, dburl2dict
from torngas_aio.db.basedb.pool import Pool
from torngas_aio.db.basedb.rows import Rows, Statement
from torngas_aio.db.basedb.sql import (
    SQLLiteral,
    SQLParam,
    SQLQuery,
    reparam,
    sqlify,
    sqllist,
    sqlors,
    sqlquote,
    sqlwhere,
)
from torngas_aio.db.basedb.transaction import Transaction
from torngas_aio.exception import ArgumentError, ConfigError

__all__ = [
    "DB",
    "Database",
    "MySQLDB",
    "Pool",
    "PostgresDB",
    "Rows",
    "SQLLiteral",
    "SQLParam",
    "SQLQuery",
    "SqliteDB",
    "Statement",
    "Transaction",
    "TransactionError",
    "UnknownDB",
    "database",
    "dburl2dict",
    "reparam",
    "sqlify",
    "sqllist",
    "sqlliteral",
    "sqlors",
    "sqlparam",
    "sqlquote",
    "sqlwhere",
]

DB = Database
TransactionError = ArgumentError
UnknownDB = ConfigError
sqlliteral = SQLLiteral
sqlparam = SQLParam

__getattr__ = former_names(__name__)
