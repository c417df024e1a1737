"""Static typing of expressions: chains of steps, and the kinds of framework objects whose methods are awaited.

    caches['a'].get(k)    ("caches", "[]", ".get", "()")    without arguments

The kinds are listed here and not introspected, since the libraries of a ported project need not be installed.
"""

import ast

from torngas_aio.handler.web import PLAIN_METHODS

__all__ = [
    "AWAITED",
    "HOOKS",
    "IMPORTED",
    "REDIS_CHANGED",
    "REDIS_ITERATORS",
    "REDIS_READS",
    "REDIS_SETS",
    "REDIS_SYNC",
    "SYNC_METHODS",
    "VERBS",
    "Chain",
    "chain_of",
    "next_kind",
]

Chain = tuple[str, ...]

VERBS = frozenset({"get", "post", "put", "delete", "head", "options", "patch", "prepare", "on_prepare"})
HOOKS = frozenset({
    "process_init", "process_call", "process_request", "process_render", "process_response", "process_endcall",
    "process_exception", "begin_request", "begin_render", "begin_response", "complete_response",
})  # fmt: skip
SYNC_METHODS = {
    **dict.fromkeys((*PLAIN_METHODS, "get_error_html", "log_request", "parse_command", "load_urls", "load_all"), ""),
    "on_finish": "; `complete_finish` is awaited",
}
"""Methods that the framework calls without awaiting them, and what to write instead."""

REDIS_READS = frozenset({
    "get", "mget", "getset", "getrange", "keys", "scan", "scan_iter", "randomkey", "type",
    "hget", "hgetall", "hkeys", "hmget", "hvals", "hscan", "lindex", "lpop", "lrange", "rpop", "rpoplpush",
    "blpop", "brpop", "smembers", "spop", "srandmember", "sinter", "sunion", "sdiff",
    "zrange", "zrangebyscore", "zrevrange", "zrevrangebyscore",
})  # fmt: skip
"""Commands of a Redis client whose replies are bytes where Python 2 had text."""

REDIS_SETS = frozenset({"smembers", "sinter", "sunion", "sdiff"})
"""Commands of REDIS_READS that reply with sets."""

REDIS_CHANGED = {
    "geoadd": "(name, [longitude, latitude, member])", "mset": "(mapping)", "msetnx": "(mapping)",
    "zadd": "(name, {member: score})", "zincrby": "(name, amount, member)",
}  # fmt: skip
"""Commands whose arguments have changed: the new arguments."""

REDIS_ITERATORS = frozenset({"scan_iter", "hscan_iter", "sscan_iter", "zscan_iter"})
"""Commands that return asynchronous iterators."""

REDIS_SYNC = REDIS_ITERATORS | frozenset({
    "bf", "bitfield", "cf", "cms", "from_url", "ft", "json", "lock", "monitor", "pipeline", "pubsub",
    "register_script", "set_response_callback", "tdigest", "topk", "ts", "vset",
})  # fmt: skip
"""Commands that are not awaited."""

AWAITED = {
    "cache": frozenset({
        "add", "cas", "clear", "close", "compute_once", "decr", "decr_version", "delete", "delete_many", "expire",
        "get", "get_many", "get_or_set", "gets", "has_key", "incr", "incr_version", "keys", "ping", "raw_add",
        "raw_clear", "raw_close", "raw_delete", "raw_delete_many", "raw_drop", "raw_get", "raw_get_many", "raw_has",
        "raw_incr", "raw_keys", "raw_ping", "raw_read", "raw_set", "raw_set_many", "raw_swap", "raw_touch", "raw_ttl",
        "set", "set_many", "touch", "ttl",
    }),
    "database": frozenset({
        "aclose", "delete", "insert", "multiple_insert", "query", "select", "update", "where",
    }),
    "signal": frozenset({"send", "send_robust"}),
    "query": frozenset({
        "all", "count", "delete", "first", "get", "one", "one_or_none", "paginate", "paginate_after", "scalar",
        "update",
    }),
    "db session": frozenset({
        "aclose", "close", "close_all", "commit", "connection", "delete", "delete_all", "execute", "flush", "get",
        "get_one", "invalidate", "merge", "merge_all", "refresh", "remove", "reset", "rollback", "run_sync", "scalar",
        "scalars", "settle", "stream", "stream_scalars",
    }),
    "connection": frozenset({"create_db", "drop_db", "existing_tables", "ping"}),
    "pipeline": frozenset({"execute", "watch"}),
    "transaction": frozenset({"commit", "rollback"}),
    "lock": frozenset({"acquire", "extend", "release"}),
    "pubsub": frozenset({"get_message", "psubscribe", "punsubscribe", "subscribe", "unsubscribe"}),
    "handler": frozenset({"complete_response_stage", "load_current_user", "load_form", "render_string", "send_file"}),
    "session": frozenset({"save"}),
    "channels": frozenset({"aclose", "add", "history", "keeps", "members", "publish", "remove", "send"}),
    "subscription": frozenset({"aclose"}),
    "job": frozenset({"enqueue", "enqueue_in"}),
    "enqueued": frozenset({"result"}),
}  # fmt: skip
AWAITED["socket"] = AWAITED["handler"] | {"can_join", "get", "join", "leave"}
"""Kind of object: its methods that are awaited."""

_SIGNALS = ("call_started", "handler_started", "handler_response", "call_finished", "handler_render")
_BACKENDS = (
    "dummy.DummyCache", "filebased.FileBasedCache", "localcache.LocMemCache", "memcached.MemcachedCache",
    "rediscache.RedisCache",
)  # fmt: skip
IMPORTED = {
    "torngas_aio.cache.cache": "cache",
    "torngas_aio.cache.caches": "caches",
    "torngas_aio.db.basedb.database": "makes database",
    "torngas_aio.dispatch.Signal": "makes signal",
    "torngas_aio.signal.Signal": "makes signal",
    **{f"torngas_aio.signal.{name}": "signal" for name in _SIGNALS},
    "torngas_aio.channels.channels": "channels",
    "torngas_aio.jobs.job": "job decorator",
    "torngas_aio.db.dbalchemy.Connector": "connector",
    "torngas_aio.cache.backends.rediscache.RedisClient": "makes redis client",
    **{f"torngas_aio.cache.backends.{name}": "makes cache" for name in _BACKENDS},
    **dict.fromkeys(("torngas_aio.session_scope", "torngas_aio.db.dbalchemy.session_scope"), "makes scope"),
    "torngas_aio.project": "makes scope",
    **dict.fromkeys(("torngas_aio.close", "torngas_aio.sleep", "torngas_aio.utils.sleep"), "coroutine function"),
}
"""Dotted name: the kind of what it names."""

_STEPS = {
    ("caches", "[]"): "cache",
    ("cache", ".client"): "redis",
    ("cache", ".lock"): "makes lock",
    ("redis client", ".client"): "redis",
    ("redis client", "._client"): "redis",
    ("connector", ".get_conn"): "makes connection",
    ("connector", ".get_session"): "makes db session",
    ("connector", ".conn_pool"): "connections",
    ("connections", "[]"): "connection",
    ("db session", "[]"): "db session",
    ("db session", "()"): "db session",
    ("connection", ".session"): "db session",
    ("connection", ".session_scope"): "makes scope",
    ("scope", "as"): "db session",
    ("db session", ".query"): "makes query",
    ("db session", ".using_master"): "makes db session",
    ("db session", ".begin"): "makes transaction",
    ("db session", ".begin_nested"): "makes transaction",
    ("redis", ".pipeline"): "makes pipeline",
    ("redis", ".lock"): "makes lock",
    ("redis", ".pubsub"): "makes pubsub",
    ("handler", ".session"): "session",
    ("socket", ".session"): "session",
    ("channels", "[]"): "channels",
    ("channels", ".subscribe"): "makes subscription",
    ("channels", ".present"): "makes presence",
    ("job decorator", "()"): "job decorator",
    ("job", "()"): "awaited",
    ("job", ".enqueue"): "coroutine function giving enqueued",
    ("job", ".enqueue_in"): "coroutine function giving enqueued",
    ("database", ".transaction"): "makes transaction",
    ("query", ".all"): "coroutine function giving rows",
    ("query", ".paginate"): "coroutine function giving page",
    ("page", ".items"): "rows",
    ("page", ".prev"): "coroutine function giving page",
    ("page", ".next"): "coroutine function giving page",
    **{("query", f".{name}"): "coroutine function giving one" for name in ("first", "get", "one", "one_or_none")},
    ("coroutine function", "()"): "awaited",
}


def chain_of(node: ast.AST) -> Chain:
    """Return the chain of *node*; empty if it does not start with a name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Await):
        return chain_of(node.value)
    if isinstance(node, ast.BoolOp):
        return next((found for each in node.values if (found := chain_of(each))), ())
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
        return (f"super({ast.unparse(node.args[0]) if node.args else ''})",)
    if not isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        return ()
    step = f".{node.attr}" if isinstance(node, ast.Attribute) else "()" if isinstance(node, ast.Call) else "[]"
    owner = chain_of(node.func if isinstance(node, ast.Call) else node.value)
    return (*owner, step) if owner else ()


def next_kind(kind: str, step: str) -> str:
    """Return the kind of *step* on an object of *kind*; empty if unknown."""
    kind = kind.removeprefix("awaited giving ")
    found = _STEPS.get((kind, step))
    if found is not None:
        return found
    if step == "()" and kind.startswith("makes "):
        return kind.removeprefix("makes ")
    if step == "()" and kind.startswith("coroutine function"):
        return f"awaited{kind.removeprefix('coroutine function')}"
    if kind in ("redis", "pipeline") and step[:1] == ".":
        waits = step[1:] in AWAITED["pipeline"] if kind == "pipeline" else step[1:] not in REDIS_SYNC
        return "coroutine function" if waits else ""
    if step[:1] == "." and step[1:] in AWAITED.get(kind, ()):
        return "coroutine function"
    return "makes query" if kind == "query" and step[:1] == "." else ""
