"""What is left to do by hand: one code for each kind, found by reading Python files and templates.

Begin with `left_over`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from torngas_aio.cli.port.edits import binds, dotted
from torngas_aio.cli.port.kinds import HOOKS
from torngas_aio.cli.port.texts import text_calls

__all__ = ["CALLBACK_MARK", "CODES", "Finding", "in_template", "left_over"]

CODES = MappingProxyType({
    "TGM101": "A file that cannot be read or parsed",
    "TGM201": "A call that may have to be awaited",
    "TGM202": "A call that waits where `await` cannot stand",
    "TGM203": "Module code that waits",
    "TGM204": "A template that waits",
    "TGM301": "Bytes where text was",
    "TGM302": "A decorator around a coroutine function",
    "TGM303": "State that requests share",
    "TGM304": "A library that blocks the event loop",
    "TGM305": "A relationship that loads itself",
    "TGM306": "One database session in several tasks",
    "TGM307": "A tuple in a session",
    "TGM308": "A cache timeout of 0",
    "TGM309": "A default that has changed",
    "TGM310": "Text where bytes were",
    "TGM401": "What Tornado 6 has removed",
    "TGM402": "An answer given in a callback",
})  # fmt: skip
"""Code: the title of its section in docs/migration/codes.md."""

BLOCKING = ("requests", "redis", "MySQLdb", "pymysql", "torndb", "pymongo", "memcache", "psycopg2")
BLOCKING_CALLS = {"time.sleep", "os.system", "subprocess.call", "subprocess.check_output", "subprocess.check_call",
                  "subprocess.run", "urlopen", "urllib.request.urlopen", "urllib.request.urlretrieve"}  # fmt: skip
ARGUMENTS = ("request.arguments", "request.body_arguments", "request.query_arguments")
TASKS = ("Task", "Callback", "Wait", "WaitAll")
TAKES_NO_CALLBACK = ("fetch", "read_until", "read_bytes", "write", "connect")
GONE = {
    "tornado.stack_context": "contextvars", "asyncmongo": "motor", "brukva": "redis.asyncio",
    "toredis": "redis.asyncio", "tornadoredis": "redis.asyncio",
}  # fmt: skip
"""Modules that Tornado 6 lacks or that need an older Tornado, and what takes their place."""

CALLBACK_MARK = "# TGM402:"
"""Beginning of the comment that is written in place of `@asynchronous`, so that a later run lists the method too."""

WAITS_IN_TEMPLATE = re.compile(
    r"\.Q\.|\bcaches?(?:\[[^\]]*\])?\.(?:get|set|get_many|has_key|incr)\(|\.session\.query\(|\.(?:first|paginate)\("
)
EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\$\{.*?\}|<%.*?%>|^\s*%.*$", re.DOTALL | re.MULTILINE)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to look at."""

    path: str
    line: int
    code: str
    text: str


def left_over(tree: ast.Module, text: str, path: str) -> Iterator[Finding]:
    """Yield what a person has to look at in the Python file *path* with *text*, one of a kind for each line."""
    seen: set[tuple[int, str]] = set()
    for number, content in enumerate(text.split("\n"), 1) if CALLBACK_MARK in text else ():
        if content.lstrip().startswith(CALLBACK_MARK):
            yield Finding(path, number, "TGM402", "The response ends when the method returns: await what calls back.")
    for search in (_bytes, _texts, _blocking, _calls, _removed, _tuples, _classes, _decorators, _settings):
        for node, code, advice in search(tree):
            line = getattr(node, "lineno", 1)
            if (line, code) not in seen:
                seen.add((line, code))
                yield Finding(path, line, code, advice)


def in_template(text: str, path: str) -> Iterator[Finding]:
    """Yield the expressions of a template that would have to wait."""
    for found in EXPRESSION.finditer(text):
        if WAITS_IN_TEMPLATE.search(found.group()):
            line = text.count("\n", 0, found.start()) + 1
            short = " ".join(found.group().split())[:60]
            yield Finding(path, line, "TGM204", f"`{short}` waits. Pass the value to render() instead.")


Told = Iterator[tuple[ast.AST, str, str]]


def _bytes(tree: ast.Module) -> Told:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).endswith((".get_secure_cookie", ".get_signed_cookie")):
            yield node, "TGM301", "A signed cookie's value is bytes: compare with bytes, or .decode() them."
        elif isinstance(node, ast.Attribute) and dotted(node).endswith(ARGUMENTS):
            yield node, "TGM301", f"{dotted(node)} holds bytes: use get_argument(), or .decode() them."


def _texts(tree: ast.Module) -> Told:
    for node, text in text_calls(tree):
        yield node, "TGM310", text


def _blocking(tree: ast.Module) -> Told:
    if not any(isinstance(node, ast.ClassDef) and _is_web(node) for node in tree.body):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names if each.name in BLOCKING]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [name for name in [node.module or ""] if name in BLOCKING]
        elif isinstance(node, ast.Call):
            names = [f"{name}()" for name in [dotted(node.func)] if name in BLOCKING_CALLS]
        for name in names:
            yield node, "TGM304", f"{name} blocks every request: await an asyncio form of it, or use @async_execute."


def _calls(tree: ast.Module) -> Told:
    for node in [each for each in ast.walk(tree) if isinstance(each, ast.Call)]:
        name = dotted(node.func).rpartition(".")[2]
        given = {each.arg: each.value for each in node.keywords}
        if name in ("gather", "multi") and _shares_session(node):
            yield node, "TGM306", "Queries of one request share one session: await them one after another."
        elif name == "relationship" and "lazy" not in given:
            yield node, "TGM305", "It cannot load itself: use selectinload() or `await obj.awaitable_attrs.name`."
        elif _is_zero(given.get("timeout")) and "cache" in ast.unparse(node.func):
            yield node, "TGM308", "timeout=0 expires at once; None keeps a value for ever."


def _removed(tree: ast.Module) -> Told:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func) if isinstance(node.func, ast.Attribute) else dotted(node.func)
            is_callback = any(each.arg == "callback" for each in node.keywords)
            method = name.rpartition(".")[2]
            if (is_callback and method in TAKES_NO_CALLBACK) or (
                method == "fetch" and len(node.args) > 1 and "client" in name.lower()
            ):
                yield node, "TGM401", f"{method}() takes no callback: await the call instead."
        elif isinstance(node, ast.Await) and isinstance(node.value, ast.Call) and _is_task(node.value, tree):
            yield node, "TGM401", "gen.Task and its siblings are gone: await a coroutine instead of passing a callback."
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) and not node.level else ""
            for gone in {
                gone for gone in GONE for each in node.names if f"{module}{each.name}.".startswith(f"{gone}.")
            }:
                yield node, "TGM401", f"{gone} does not work with Tornado 6: use {GONE[gone]}."


def _is_task(call: ast.Call, tree: ast.Module) -> bool:
    """Whether *call* is of `gen.Task` or a sibling; their imports are taken away, which leaves bare names unbound."""
    module, _, name = dotted(call.func).rpartition(".")
    return name in TASKS and (module in ("gen", "tornado.gen") or (not module and not binds(tree, name)))


def _tuples(tree: ast.Module) -> Told:
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple) else ():
            if isinstance(target, ast.Subscript) and dotted(target.value).endswith("session"):
                yield node, "TGM307", "A session stores a tuple as a list, unless SESSION['serializer'] is set."


def _shares_session(call: ast.Call) -> bool:
    text = ast.unparse(call)
    return ".Q." in text or ".session." in text


def _classes(tree: ast.Module) -> Told:
    for kind in tree.body:
        if isinstance(kind, ast.ClassDef) and _has_hooks(kind):
            hooks = [each for each in kind.body if isinstance(each, FunctionNode) and each.name in HOOKS]
            for function in hooks:
                if function.name != "process_init":
                    yield from _state(function)


def _state(function: FunctionNode) -> Told:
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in [*targets, *([node.target] if isinstance(node, ast.AugAssign) else [])]:
            owner = target.value if isinstance(target, ast.Subscript) else target
            if dotted(owner).startswith("self."):
                yield node, "TGM303", f"`{dotted(owner)}` is shared by all requests: keep it on the handler or request."
        if isinstance(node, ast.Global):
            yield node, "TGM303", f"`{node.names[0]}` is shared by all requests: keep it on the handler or request."


def _decorators(tree: ast.Module) -> Told:
    """Decorators of the file whose wrapper drops, or looks at, what a method returns."""
    own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    used = {
        name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)
        for each in node.decorator_list if (name := dotted(each.func if isinstance(each, ast.Call) else each)) in own
    }  # fmt: skip
    for name in sorted(used):
        given = {each.arg for each in own[name].args.args}
        for node in ast.walk(own[name]):
            call = node.value if isinstance(node, ast.Expr | ast.Assign) else None
            if isinstance(call, ast.Call) and dotted(call.func) in given:
                yield node, "TGM302", f"The wrapper of @{name} gets a coroutine: make it async, and await the call."


def _settings(tree: ast.Module) -> Told:
    names = {target.id: node for node in tree.body if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    if not {"INSTALLED_APPS", "MIDDLEWARE_CLASSES", "TORNADO_CONF"} & set(names):
        return
    if "DEBUG" not in names:
        yield tree, "TGM309", "DEBUG is off unless it is set; it was on."
    text = {name: ast.unparse(node.value) for name, node in names.items()}
    if "TORNADO_CONF" in text and "xsrf_cookies" not in text["TORNADO_CONF"]:
        yield names["TORNADO_CONF"], "TGM309", "xsrf_cookies has another default than in 1.8: write it down."
    if "TRANSLATIONS_CONF" in text and "locale_default" not in text["TRANSLATIONS_CONF"]:
        yield names["TRANSLATIONS_CONF"], "TGM309", "locale_default is en_US unless it is set; it was zh_CN."
    if "redis" in text.get("CACHES", "").lower() and not re.search(r"'DB'|'db'|/\d+'", text["CACHES"]):
        yield names["CACHES"], "TGM309", "A Redis cache that names no DB uses 0; it was 1."
    secrets = re.findall(r"'(?:cookie_secret|secret_key)': '([^']*)'", " ".join(text.values()))
    if any(len(each) < 32 for each in secrets):
        yield names.get("SESSION") or names["TORNADO_CONF"], "TGM309", "Secrets need 32 characters with DEBUG off."


def _is_zero(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0 and node.value is not False


def _is_web(node: ast.ClassDef) -> bool:
    return _has_hooks(node) or any(dotted(base).endswith("Handler") for base in node.bases)


def _has_hooks(node: ast.ClassDef) -> bool:
    return any(isinstance(each, FunctionNode) and each.name in HOOKS for each in node.body)
