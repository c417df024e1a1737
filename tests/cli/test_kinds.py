"""Chains of steps, and what they stand for."""

import ast
import functools
import inspect

import pytest
from redis.asyncio import Redis

from torngas_aio._names import import_object
from torngas_aio.cli import kinds

CLASSES = {
    "cache": "torngas_aio.cache.backends.base.BaseCache",
    "channels": "torngas_aio.channels.base.BaseChannels",
    "connection": "torngas_aio.db.dbalchemy.DbConnection",
    "database": "torngas_aio.db.basedb.Database",
    "db session": "torngas_aio.db.dbalchemy.DbSession",
    "handler": "torngas_aio.handler.BaseHandler",
    "job": "torngas_aio.jobs.Job",
    "query": "torngas_aio.db.dbalchemy.Query",
    "session": "torngas_aio.session.Session",
    "signal": "torngas_aio.dispatch.Signal",
    "socket": "torngas_aio.handler.WebSocketHandler",
    "subscription": "torngas_aio.channels.base.Subscription",
}
NO_COROUTINES = {
    "database": {"query", "select", "where", "insert", "multiple_insert", "update", "delete"},
    "handler": {"render_string"},
    "socket": {"render_string"},
    "query": {"all"},
}
"""Methods that are awaited and no `async def`."""


@pytest.mark.parametrize("kind", CLASSES)
def test_the_table_of_methods_is_that_of_the_classes(kind: str) -> None:
    owner = import_object(CLASSES[kind])
    methods = {name: inspect.getattr_static(owner, name) for name in dir(owner) if name[:1] != "_"}
    found = {name for name, each in methods.items() if inspect.iscoroutinefunction(getattr(each, "__func__", each))}
    assert kinds.AWAITED[kind] == found | NO_COROUTINES.get(kind, set())


def test_the_methods_of_a_redis_client_that_do_not_wait_are_those_of_the_class() -> None:
    methods = {name: getattr(Redis, name) for name in dir(Redis) if not name.startswith("_")}
    assert {name for name, each in methods.items() if inspect.isasyncgenfunction(each)} == kinds.REDIS_ITERATORS
    assert not [name for name in kinds.REDIS_SYNC & methods.keys() if inspect.iscoroutinefunction(methods[name])]


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", ".b", ".c")),
        ("caches['a'].get(key, 1)", ("caches", "[]", ".get", "()")),
        ("(await a()).b", ("a", "()", ".b")),
        ("super().get()", ("super()", ".get", "()")),
        ("super(A, self).get", ("super(A)", ".get")),
        ("None or a.b", ("a", ".b")),
        ("'a'.join(b)", ()),
        ("(a + b).c", ()),
        ("[a][0]", ()),
        ("(lambda: a)()", ()),
    ],
)
def test_an_expression_that_starts_with_a_name_is_a_chain(text: str, chain: kinds.Chain) -> None:
    assert kinds.chain_of(ast.parse(text, mode="eval").body) == chain


@pytest.mark.parametrize(
    ("kind", "steps", "found"),
    [
        ("caches", "[] .get ()", "awaited"),
        ("cache", ".get_many", "coroutine function"),
        ("cache", ".keys_of", ""),
        ("cache", ".client .lpush ()", "awaited"),
        ("cache", ".client .scan_iter ()", ""),
        ("redis client", "._client .pipeline ()", "pipeline"),
        ("redis", ".pipeline () .lpush ()", ""),
        ("redis", ".pipeline () .execute ()", "awaited"),
        ("connector", ".get_session () [] .query () .filter () .order_by () .all ()", "awaited giving rows"),
        ("connector", ".get_conn () .session .using_master () .commit ()", "awaited"),
        ("query", ".filter () .limit ()", "query"),
        ("query", ".paginate () .next () .prev ()", "awaited giving page"),
        ("database", ".transaction ()", "transaction"),
        ("db session", ".begin_nested ()", "transaction"),
        ("makes database", "() .select ()", "awaited"),
        ("handler", ".session .save ()", "awaited"),
        ("handler", ".finish ()", ""),
        ("", ".get ()", ""),
    ],
)
def test_steps_lead_from_kind_to_kind(kind: str, steps: str, found: str) -> None:
    assert functools.reduce(kinds.next_kind, steps.split(), kind) == found
