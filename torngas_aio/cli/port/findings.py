"""Places in Python files to change by hand, with one code for each kind."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torngas_aio.cli.awaits import has_zero_timeout
from torngas_aio.cli.kinds import HOOKS
from torngas_aio.cli.port import syntax
from torngas_aio.cli.port.sessions import find_unstorable
from torngas_aio.cli.port.syntax import FunctionNode, dotted, last_name, methods_of, text_of
from torngas_aio.cli.port.texts import is_odd_codec

__all__ = ["CODES", "LATER", "MARKS", "Finding", "find_in_module"]

CODES = MappingProxyType({
    "TGM101": "A file that cannot be read or parsed",
    "TGM102": "A start script in a package",
    "TGM201": "A call that may have to be awaited",
    "TGM202": "A call that must be awaited where `await` is not allowed",
    "TGM203": "Module-level code that must be awaited",
    "TGM204": "A template with a call that must be awaited",
    "TGM302": "A decorator around a coroutine function",
    "TGM303": "State that requests share",
    "TGM304": "A library that blocks the event loop",
    "TGM305": "A relationship that is loaded on access",
    "TGM306": "One database session in several tasks",
    "TGM307": "A value that a session cannot store",
    "TGM308": "A cache timeout of 0",
    "TGM309": "A default that has changed",
    "TGM310": "A codec that is not a text encoding",
    "TGM311": "A division of integers",
    "TGM312": "A method that Python 3 never calls",
    "TGM313": "A Redis command with other arguments",
    "TGM401": "Names that Tornado 6 has removed",
    "TGM402": "A response that is finished in a callback",
    "TGM403": "Work for an event loop that does not run",
})  # fmt: skip
"""Code: the title of its section in docs/migration/codes.md."""

BLOCKING = {"requests", "redis", "MySQLdb", "pymysql", "torndb", "pymongo", "memcache", "psycopg2"}
BLOCKING_CALLS = {"time.sleep", "os.system", "subprocess.call", "subprocess.check_output", "subprocess.check_call",
                  "subprocess.run", "urlopen", "urllib.request.urlopen", "urllib.request.urlretrieve"}  # fmt: skip
IN_THREADS = {"run_on_executor", "async_execute"}
TASKS = {"Task", "Callback", "Wait", "WaitAll", "Runner"}
TAKES_NO_CALLBACK = {
    "connect": 1, "read_bytes": 1, "read_until": 1, "read_until_close": 0, "read_until_regex": 1, "write": 1,
    **dict.fromkeys((
        "authenticate_redirect", "authorize_redirect", "facebook_request", "fetch", "flush", "get_authenticated_user",
        "oauth2_request", "twitter_request",
    )),
}  # fmt: skip
"""Method that accepted `callback=`: for methods of streams, its position among the arguments."""

LATER = {"PeriodicCallback", "add_callback", "add_timeout", "call_at", "call_later", "spawn_callback"}
GONE = {
    "asyncmongo": "motor", "brukva": "redis.asyncio", "toredis": "redis.asyncio", "tornadoredis": "redis.asyncio",
    "tornado.auth.FacebookMixin": "FacebookGraphMixin", "tornado.auth.GoogleMixin": "GoogleOAuth2Mixin",
    "tornado.concurrent.TracebackFuture": "asyncio.Future", "tornado.concurrent.return_future": "async def",
    "tornado.gen.Runner": "async def", "tornado.gen.YieldPoint": "async def",
    "tornado.gen.engine": "async def", "tornado.web.asynchronous": "async def",
    "tornado.platform.twisted": "asyncio",
    "tornado.stack_context": "contextvars", "tornado.testing.LogTrapTestCase": "unittest.TestCase.assertLogs",
    "tornado.wsgi.WSGIAdapter": "torngas_aio.asgi", "tornado.wsgi.WSGIApplication": "torngas_aio.asgi",
}  # fmt: skip
"""Modules and names that Tornado 6 lacks or that need an older Tornado: their replacement."""

OURS = {"TGM303", "TGM305", "TGM306", "TGM307", "TGM308", "TGM309"}
"""Codes of changes in torngas_aio itself, which do not concern a project that keeps Tornado's handlers."""

MARKS = {
    "TGM311": "Python 2 divided integers into integers: write // for that, then delete the comment.",
    "TGM402": "The response ends when the method returns: await what calls back, then delete the comment.",
}
"""Code: the advice for a comment with this code, written by an earlier run."""

ROUNDED = "round(2.5) was 3.0 and is 2: write what is meant, then delete the comment."
"""The advice for a TGM311 comment on a call of `round`."""

UNCALLED = {
    "__coerce__": "convert in `__add__` and its siblings",
    **dict.fromkeys(("__hex__", "__oct__"), "write `__index__`"),
    **{f"__{verb}slice__": f"take a slice in `__{verb}item__`" for verb in ("get", "set", "del")},
}  # fmt: skip
"""Special methods of Python 2: their replacement."""

Advice = tuple[ast.AST, str, str]
"""The node, the code and the advice."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place to change or review by hand."""

    path: str
    line: int
    code: str
    text: str


def find_in_module(
    tree: ast.Module, text: str, path: str, reads: Mapping[str, list[str]], *, is_plain: bool = False
) -> Iterator[Finding]:
    """Yield the findings in the Python file *path* with *text*, at most one per line and code.

    Args:
        reads: Attribute name: the places that read it in the project, templates included.
        is_plain: Whether the project keeps Tornado's handlers, and its own sessions and databases.
    """
    for number, content in enumerate(text.split("\n"), 1) if "# TGM" in text else ():
        for code, advice in MARKS.items():
            if content.lstrip().startswith(f"# {code}:"):
                yield Finding(path, number, code, ROUNDED if " rounded " in content else advice)
    found = [*_Reader(tree, is_plain=is_plain).advices(), *_relationships(tree, reads)]
    advices = {(getattr(node, "lineno", 1), code): advice for node, code, advice in found}
    for (line, code), advice in advices.items():
        if not (is_plain and code in OURS):
            yield Finding(path, line, code, advice)


class _Reader:
    """One file: its nodes and names, and the findings for them."""

    def __init__(self, tree: ast.Module, *, is_plain: bool) -> None:
        self._tree = tree
        self._is_plain = is_plain
        self._nodes = nodes = list(ast.walk(tree))
        threads = [each for each in nodes if isinstance(each, FunctionNode) and syntax.decorators_of(each) & IN_THREADS]
        self._in_threads = {node for each in threads for node in ast.walk(each)}
        self._serves = any("torngas_aio.webserver" in (getattr(node, "module", None) or "") for node in tree.body)
        self._is_web = any(isinstance(node, ast.ClassDef) and _is_web(node) for node in tree.body)

    def advices(self) -> Iterator[Advice]:
        """Yield the findings as node, code and advice."""
        for node in self._nodes:
            if isinstance(node, ast.Call):
                yield from self._check_call(node)
                if is_odd_codec(node):
                    yield node, "TGM310", "This is not a text encoding in Python 3: use its module, or `codecs`."
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from self._check_import(node)
            elif isinstance(node, ast.ClassDef) and _has_hooks(node):
                methods = methods_of(node)
                shared = ast.unparse(methods["process_init"]) if "process_init" in methods else ""
                for name in methods.keys() & HOOKS - {"process_init"}:
                    yield from (each for each in _state(methods[name]) if each[2].split("`")[1] not in shared)
            if isinstance(node, ast.ClassDef):
                yield from _uncalled(node)
        for node, what in find_unstorable(self._tree):
            yield node, "TGM307", f"Sessions are JSON: {what}. Store text or lists, or set SESSION['serializer']."
        yield from _settings(self._tree)

    def _check_call(self, call: ast.Call) -> Iterator[Advice]:
        name = dotted(call.func)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else name
        given = {each.arg: each.value for each in call.keywords}
        is_fetch = method == "fetch" and "client" in ast.unparse(call.func).lower()
        has_callback = ("callback" in given and method in TAKES_NO_CALLBACK) or (is_fetch and len(call.args) > 1)
        is_star = is_fetch and isinstance(call.args[0] if call.args else None, ast.Starred)
        if name in BLOCKING_CALLS and self._is_web and call not in self._in_threads:
            yield call, "TGM304", f"{name}() blocks every request: await an asyncio form of it, or use @async_execute."
        elif method in ("gather", "multi") and re.search(r"\.Q\.|\.session\.", ast.unparse(call)):
            yield call, "TGM306", "Queries of one request share one session: await them one after another."
        elif has_zero_timeout(call):
            yield call, "TGM308", "timeout=0 expires at once; None means no expiry."
        elif method == "create_all" and not self._is_plain:
            yield call, "TGM201", "It cannot wait: write `await Connector.get_conn('default').create_db()`."
        elif method in LATER and self._serves:
            yield call, "TGM403", "The server runs its own event loop, so this never runs: do it in process_init."
        elif self._is_task(name):
            yield call, "TGM401", "gen.Task and its siblings are removed: await a coroutine that accepts no callback."
        elif method == "HTTPClient" and (self._is_web or self._serves):
            yield call, "TGM304", "HTTPClient fails in a running loop: await AsyncHTTPClient().fetch(...)."
        elif is_star:
            yield call, "TGM401", "fetch(*...) accepts no callback: check that none is passed, and await the call."
        elif has_callback or _gives_stream_callback(call):
            yield call, "TGM401", f"{method}() takes no callback: await the call instead."

    def _check_import(self, node: ast.Import | ast.ImportFrom) -> Iterator[Advice]:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if isinstance(node, ast.ImportFrom) and node.level:
            return
        names = [f"{module}.{each.name}".lstrip(".") for each in node.names]
        if gone := [name for name in GONE if any(f"{each}.".startswith(f"{name}.") for each in names)]:
            instead = ", ".join(f"{name} (use {GONE[name]})" for name in gone)
            yield node, "TGM401", f"Removed from Tornado 6, or incompatible with it: {instead}."
        if blocking := BLOCKING & {module or each for each in names} if self._is_web else ():
            text = f"{', '.join(sorted(blocking))} blocks every request: await an asyncio form, or use @async_execute."
            yield node, "TGM304", text

    def _is_task(self, name: str) -> bool:
        """Whether *name* is `gen.Task` or a sibling; bare names are unbound, as their imports have been removed."""
        module, _, last = name.rpartition(".")
        return last in TASKS and (
            module in ("gen", "tornado.gen") or (not module and not syntax.binds(self._tree, last))
        )


def _relationships(tree: ast.Module, reads: Mapping[str, list[str]]) -> Iterator[Advice]:
    """Yield the relationships that are lazy-loaded and read, on either side."""
    for node in syntax.nodes_of(tree, ast.Assign):
        if last_name(node.value) != "relationship":
            continue
        other = [each.value for each in syntax.nodes_of(node.value, ast.keyword) if each.arg == "backref"]
        sides = {dotted(node.targets[0]): node.value} | {
            text_of(name): each for each in other for name in syntax.nodes_of(each, ast.Constant)[:1]
        }
        lazy = {name: _lazy_of(side) for name, side in sides.items() if name in reads}
        names = [name for name, kind in lazy.items() if kind in ("", "'select'", "True", "'dynamic'")]
        read = [place for name in names for place in reads[name]]
        if names:
            is_query = "'dynamic'" in lazy.values()
            mend = "`await Other.Q.filter_by(...)`" if is_query else "selectinload() or `awaitable_attrs`"
            advice = f"{', '.join(f'`.{name}`' for name in names)} cannot be lazy-loaded: use {mend}."
            yield node, "TGM305", f"{advice} Read at {', '.join(read[:9])}{' and others' if len(read) > 9 else ''}."


def _lazy_of(side: ast.expr) -> str:
    given = side.keywords if isinstance(side, ast.Call) else []
    return next((ast.unparse(each.value) for each in given if each.arg == "lazy"), "")


def _gives_stream_callback(call: ast.Call) -> bool:
    """Whether *call* passes a function as the last argument to a method of a stream, not just of a stream's name."""
    name, owner = last_name(call), dotted(call.func).rpartition(".")[0]
    is_stream = name not in ("connect", "write") or owner.lower().endswith("stream")
    count = TAKES_NO_CALLBACK.get(name) if is_stream else None
    if count is None or len(call.args) <= count:
        return False
    given = call.args[-1]
    return isinstance(given, ast.Lambda) or last_name(given) in ("partial", "wrap") or bool(dotted(given))


def _uncalled(kind: ast.ClassDef) -> Iterator[Advice]:
    """Yield the special methods of the class that only Python 2 calls."""
    methods = methods_of(kind)
    for name, mend in UNCALLED.items():
        item = methods.get(name.replace("slice", "item")) if name.endswith("slice__") else None
        if name in methods and not (item and "slice" in ast.unparse(item)):
            yield methods[name], "TGM312", f"Python 3 never calls `{name}`: {mend}."


def _state(function: FunctionNode) -> Iterator[Advice]:
    """Yield the assignments of *function* to attributes of `self`, except `+=`, and its `global` statements."""
    for node in ast.walk(function):
        owners = [each.value if isinstance(each, ast.Subscript) else each
                  for each in (node.targets if isinstance(node, ast.Assign) else ())]  # fmt: skip
        if any(".request." in f".{dotted(each)}." for each in owners):
            continue  # the same assignment also stores it on the request
        shared = [name for each in owners if (name := dotted(each)).startswith("self.")]
        for name in [*shared, *(node.names if isinstance(node, ast.Global) else ())]:
            yield node, "TGM303", f"`{name}` is shared by all requests: keep it on the handler or request."


def _settings(tree: ast.Module) -> Iterator[Advice]:
    """Yield the settings whose defaults have changed, one finding per line."""
    names = {target.id: node for node in tree.body if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    text = {name: ast.unparse(node.value) for name, node in names.items()}
    changed: list[tuple[ast.AST, str]] = []
    if {"INSTALLED_APPS", "MIDDLEWARE_CLASSES", "TORNADO_CONF"} & set(names):
        if "DEBUG" not in names:
            changed.append((tree, "DEBUG is off unless it is set, it was on"))
        if "xsrf_cookies" not in text.get("TORNADO_CONF", "xsrf_cookies"):
            changed.append((names["TORNADO_CONF"], "the default of xsrf_cookies has changed: set it"))
        if "locale_default" not in text.get("TRANSLATIONS_CONF", "locale_default"):
            changed.append((names["TRANSLATIONS_CONF"], "the default of locale_default is en_US, it was zh_CN"))
        if "redis" in (caches := text.get("CACHES", "").lower()) and not re.search(r"'db'|/\d+'", caches):
            changed.append((names["CACHES"], "a Redis cache that names no DB uses 0, it was 1"))
    lines = defaultdict[int, list[tuple[ast.AST, str]]](list)
    for node, advice in changed:
        lines[getattr(node, "lineno", 1)].append((node, advice))
    for found in lines.values():
        sentence = "; ".join(advice for _, advice in found)
        yield found[0][0], "TGM309", f"{sentence[0].upper()}{sentence[1:]}."


def _is_web(node: ast.ClassDef) -> bool:
    return _has_hooks(node) or any(dotted(base).endswith("Handler") for base in node.bases)


def _has_hooks(node: ast.ClassDef) -> bool:
    return bool(methods_of(node).keys() & HOOKS)
