"""Changes within a single file: names, imports, decorators, SQL texts, state, removed arguments.

`--skip` accepts the name of each.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from torngas_aio.cli.kinds import HOOKS, chain_of
from torngas_aio.cli.port.coroutines import rewrite_coroutines
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.python2 import parse
from torngas_aio.cli.port.queries import rewrite_queries
from torngas_aio.cli.port.syntax import FunctionNode, assigned_in, dotted, last_name, nodes_of, text_of

__all__ = ["OURS", "REWRITES", "rewrite"]

PACKAGES = (
    "application|cache|db|decorators|dispatch|exception|handler|httpmodule|logger|middleware|mixins|settings_manager|"
    "signal|storage|template|utils|webserver|urlhelper|global_settings"
)
DOTTED = re.compile(rf"!?torngas\.(?:(?:{PACKAGES})(?:\.[A-Za-z_]\w*)+|(?:access|trace|info)log)")
"""Dotted names of modules, classes and loggers in strings; file names, URLs and prose do not match."""

TORNADO_SOCKET = "tornado.websocket.WebSocketHandler"
SQL_METHODS = {"filter": r"\W", "order_by": r"\W", "group_by": r"\W", "having": r"\W", "execute": r"\s"}
"""Methods that accept SQL only as `text(...)`: a pattern that matches SQL, not a plain name."""

GONE_EXTENSIONS = frozenset({
    "jinja2.ext.autoescape", "jinja2.ext.AutoEscapeExtension", "jinja2.ext.with_", "jinja2.ext.WithExtension",
})  # fmt: skip
"""Extensions of Jinja2 2 that are built into Jinja2 3."""

TAKES_NO_LOOP = frozenset({
    "AsyncHTTPClient", "CurlAsyncHTTPClient", "HTTPServer", "IOStream", "PeriodicCallback", "PipeIOStream", "Resolver",
    "SSLIOStream", "SimpleAsyncHTTPClient", "Subprocess", "TCPClient", "TCPServer", "ThreadedResolver",
    "add_accept_handler", "start", "websocket_connect", "with_timeout",
})  # fmt: skip
"""Functions and classes of Tornado 6 without an `io_loop=` argument."""


def rewrite(text: str, path: Path, root: Path, skipped: Iterable[str]) -> str:
    """Return *text* after all changes except those *skipped*."""
    for name, (words, change) in REWRITES.items():
        if name in skipped or not any(word in text for word in words):
            continue
        tree = parse(text)
        assert tree is not None
        edits = Edits(text, tree)
        change(edits, path, root)
        made = edits.apply()
        if parse(made) is not None:
            text = made
    return text


def _rename(edits: Edits, path: Path, root: Path) -> None:
    is_imported = False
    for node in ast.walk(edits.tree):
        is_name = isinstance(node, ast.alias) and node.name.split(".")[0] == "torngas"
        is_imported |= isinstance(node, ast.alias) and is_name and node.asname is None
        is_from = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torngas" and not node.level
        if is_name or is_from or DOTTED.fullmatch(text_of(node)):
            start = edits.text.index("torngas", edits.span(node)[0])
            edits.replace(start, start + 7, "torngas_aio")
    for node in ast.walk(edits.tree) if is_imported else ():
        if isinstance(node, ast.Name) and node.id == "torngas":
            edits.replace(*edits.span(node), "torngas_aio")


def _relative_imports(edits: Edits, path: Path, root: Path) -> None:
    """Make imports of sibling modules relative: Python 2 searched the file's package first."""
    folder = path.parent
    if folder == root or not (folder / "__init__.py").is_file():
        return
    for node in edits.tree.body:
        if isinstance(node, ast.ImportFrom) and not node.level and _is_sibling(folder, root, node.module or ""):
            start = edits.span(node)[0] + 4
            place = edits.text.index(node.module or "", start)
            edits.replace(place, place, ".")
        elif isinstance(node, ast.Import) and len(node.names) == 1:
            name = node.names[0].name
            if "." not in name and _is_sibling(folder, root, name):
                start, _ = edits.span(node)
                edits.replace(start, start, "from . ")


def _is_sibling(folder: Path, root: Path, module: str) -> bool:
    top = module.partition(".")[0]
    if not top or top in sys.stdlib_module_names or _has(root, top):
        return False
    return _has(folder, module.replace(".", "/"))


def _has(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or (folder / name).is_dir()


def _sql_texts(edits: Edits, path: Path, root: Path) -> None:
    sessions = {name for name, value in assigned_in(edits.nodes) if any("session" in step for step in chain_of(value))}
    for function in nodes_of(edits.tree, ast.FunctionDef):
        if any("listens_for" in ast.unparse(each) for each in function.decorator_list):
            sessions |= {each.arg for each in function.args.args if each.arg in ("connection", "conn")}
    for node in nodes_of(edits.tree, ast.Call):
        pattern = SQL_METHODS.get(last_name(node))
        if pattern is None or not isinstance(node.func, ast.Attribute) or not _is_query(node.func, sessions):
            continue
        for each in node.args[:1] if node.func.attr == "execute" else node.args:
            if re.search(pattern, _text_in(each, edits)):
                edits.call("sqlalchemy.text", each)


def _text_in(node: ast.expr, edits: Edits) -> str:
    """Return the string that *node* is or begins with: a literal, one in `%` or `format`, or a name assigned to one."""
    while True:
        if isinstance(node, ast.BinOp):
            node = node.left
        elif last_name(node) == "format" and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            node = node.func.value
        else:
            break
    if isinstance(node, ast.Name):
        found = re.match(rf"{node.id} [ru]*['\"](?!.*\btext\()(.*)", edits.value_of(node), re.DOTALL)
        return found[1] if found else ""
    return text_of(node)


def _is_query(func: ast.Attribute, sessions: set[str]) -> bool:
    chain = chain_of(func.value)
    if func.attr == "execute":
        return any("session" in step for step in chain) or chain[:1] in {(name,) for name in sessions}
    is_named = len(chain) == 1 and re.fullmatch(r"q|qs|query|\w+_query", chain[0]) is not None
    return is_named or ".Q" in chain or ".query" in chain


def _removed_arguments(edits: Edits, path: Path, root: Path) -> None:
    for node in ast.walk(edits.tree):
        if isinstance(node, ast.List | ast.Tuple):
            kept = [each for each in node.elts if text_of(each) not in GONE_EXTENSIONS]
            if len(kept) < len(node.elts):
                names = ", ".join(edits.source(each) for each in kept)
                is_list = isinstance(node, ast.List)
                edits.replace(*edits.span(node), f"[{names}]" if is_list else f"({names}{',' * (len(kept) == 1)})")
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == "io_loop" and isinstance(node, ast.Call) and last_name(node) in TAKES_NO_LOOP:
                edits.remove_argument(node, keyword)


def _session_lists(edits: Edits, path: Path, root: Path) -> None:
    """Store a list in the session for a tuple, which JSON reads back as a list."""
    for node in nodes_of(edits.tree, ast.Assign):
        target = node.targets[0] if isinstance(node.value, ast.Tuple) else None
        if isinstance(target, ast.Subscript) and dotted(target.value).endswith("session"):
            value = edits.source(node.value).strip()
            edits.replace(*edits.span(node.value), f"[{value.removeprefix('(').removesuffix(')')}]")


def _request_state(edits: Edits, path: Path, root: Path) -> None:
    """Move the per-request attributes of a middleware, one object for all requests, to the request.

    An attribute is per-request if one hook sets it unconditionally, before any read, and only hooks of the class read
    it. If that hook has not run, because another one has responded, reads fall back to the middleware's attribute.
    """
    for kind in nodes_of(edits.tree, ast.ClassDef):
        if {dotted(base).rpartition(".")[2] for base in kind.bases} - {"object", "BaseHttpModule"}:
            continue
        hooks = {node: "request" if node.name == "process_call" else "handler.request" for node in kind.body
                 if isinstance(node, FunctionNode) and node.name in HOOKS - {"process_init"}}  # fmt: skip
        uses = defaultdict[str, list[tuple[FunctionNode | None, ast.Attribute]]](list)
        for method in kind.body:
            hook = method if isinstance(method, FunctionNode) and method in hooks else None
            for node in ast.walk(method):
                if isinstance(node, ast.Attribute) and dotted(node.value) == "self":
                    uses[node.attr].append((hook, node))
        for name, every in uses.items():
            found = [(hook, node) for hook, node in every if hook]
            setters = [(hook, node) for hook, node in found if isinstance(node.ctx, ast.Store)]
            if len(setters) == 1 and len(found) == len(every) and _is_set_first(*setters[0]):
                for hook, node in found:
                    where, attribute = hooks[hook], f"{kind.name.lower()}_{name.lstrip('_')}"
                    is_set = isinstance(node.ctx, ast.Store)
                    known = f'getattr({where}, "{attribute}", self.{name})'
                    edits.replace(*edits.span(node), f"{where}.{attribute} = self.{name}" if is_set else known)


def _is_set_first(hook: FunctionNode, target: ast.AST) -> bool:
    """Whether *hook* sets *target* unconditionally, and before it reads it."""
    name = dotted(target)
    for statement in hook.body:
        if isinstance(statement, ast.Assign) and statement.targets == [target]:
            return not any(dotted(each) == name for each in ast.walk(statement.value))
        leaves = any(isinstance(each, ast.Return | ast.Raise) or dotted(each) == name for each in ast.walk(statement))
        if leaves:
            return False
    return False


def _sockets(edits: Edits, path: Path, root: Path) -> None:
    """Replace Tornado's WebSocketHandler by ours in classes with other bases, which ours may include."""
    classes = [node for node in nodes_of(edits.tree, ast.ClassDef) if len(node.bases) > 1]
    mixed = [node for node in classes if TORNADO_SOCKET in map(edits.full_name, node.bases)]
    for node in edits.nodes if mixed else ():
        if isinstance(node, ast.ImportFrom) and node.module == "tornado.websocket":
            kept = [each for each in node.names if each.name != "WebSocketHandler"]
            moved = [ast.unparse(each) for each in node.names if each not in kept]
            edits.keep_names(node, kept, [f"from torngas_aio.handler import {', '.join(moved)}"] if moved else [])
    for node in mixed:
        bases: list[str] = []
        for base in node.bases:
            name = edits.full_name(base)
            if name == TORNADO_SOCKET and "." in dotted(base):
                bases.append(edits.import_name("torngas_aio.handler", "WebSocketHandler"))
            elif not (name.startswith("torngas") and name.endswith(".WebHandler")):  # ours includes it
                bases.append(edits.source(base))
        edits.replace(edits.span(node.bases[0])[0], edits.span(node.bases[-1])[1], ", ".join(bases))


ESCAPED = (
    "# 'autoescape' was False: torngas 1.8 obeyed it with Jinja2 only, and escaped with Tornado's engine always.\n"
)


def _autoescape(edits: Edits, path: Path, root: Path) -> None:
    """Keep templates of Tornado's engine escaped: torngas 1.8 ignored `autoescape` for them."""
    for node in edits.tree.body if ESCAPED not in edits.text else ():
        if not isinstance(node, ast.Assign) or dotted(node.targets[0]) != "TEMPLATE_CONFIG":
            continue
        pairs = zip(node.value.keys, node.value.values, strict=True) if isinstance(node.value, ast.Dict) else ()
        given = {key.value: value for key, value in pairs if isinstance(key, ast.Constant)}
        given |= {each.arg: each.value for each in node.value.keywords} if isinstance(node.value, ast.Call) else {}
        engine, value = given.get("template_engine"), given.get("autoescape")
        name = str(engine.value or "") if isinstance(engine, ast.Constant) else "?" if engine else ""
        is_tornado = not name or "tornado" in name.rpartition(".")[2].lower()
        if is_tornado and isinstance(value, ast.Constant) and not value.value:
            edits.replace(*edits.span(value), "True")
            start = edits.span(node)[0]
            edits.replace(start, start, ESCAPED)


Change = Callable[[Edits, Path, Path], None]
REWRITES: dict[str, tuple[tuple[str, ...], Change]] = {
    "rename": (("torngas",), _rename),
    "relative-imports": (("import",), _relative_imports),
    "coroutines": (("coroutine", "asynchronous", "engine", "gen_test"), rewrite_coroutines),
    "sql-text": (tuple(SQL_METHODS), _sql_texts),
    "sqlalchemy": (("sqlalchemy", ".Q", "session"), rewrite_queries),
    "removed-arguments": (("io_loop", *sorted(GONE_EXTENSIONS)), _removed_arguments),
    "session-lists": (("session",), _session_lists),
    "request-state": (tuple(HOOKS), _request_state),
    "autoescape": (("autoescape",), _autoescape),
    "sockets": (("WebSocketHandler",), _sockets),
}
"""Name of a change: the words one of which a file must contain, and the change."""

OURS = {"request-state", "session-lists", "autoescape", "sockets"}
"""Changes that do not apply to a project that keeps Tornado's handlers."""
