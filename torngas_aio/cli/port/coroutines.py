"""Conversion of Tornado 4's generator coroutines to `async def`.

@gen.coroutine, @gen.engine, @asynchronous       async def
x = yield f(), [g(), h()], pool.submit(i)        await f(), multi([g(), h()]), wrap_future(pool.submit(i))
raise gen.Return(x)                              return x
yield gen.Task(client.fetch, "a")                await client.fetch("a", raise_error=False)
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.futures import held_names, holder_of, is_held
from torngas_aio.cli.port.syntax import FunctionNode, assigned_in, called, dotted, last_name, loads_in, own_nodes

__all__ = ["rewrite_coroutines"]

COROUTINE = re.compile(r"(?:^|\bgen\.)(?:coroutine|engine)$")
ASYNCHRONOUS = re.compile(r"(?:^|\bweb\.)asynchronous$")
CALLBACK_COMMENT = "# TGM402: was @asynchronous. Await what calls back, then delete this comment."
TASK = re.compile(r"(?:^|\bgen\.)Task$")
RETURN = re.compile(r"(?:^|\bgen\.)Return$")
MOMENT = re.compile(r"(?:^|\bgen\.)moment$")
LISTS = re.compile(r"^(?:\w+\.)*\w*(?:s|list)$")
"""Variable names that suggest a list of futures, for variables assigned elsewhere."""

EXECUTOR = re.compile(r"pool|exec|thread", re.IGNORECASE)
GONE_NAMES = {"asynchronous", "engine", "Task", "Callback", "Wait", "WaitAll"}
OLD_NAMES = {"coroutine", "Return"}
FINISHERS = {"self.finish", "self.redirect", "self.render", "self.send_error"}


def rewrite_coroutines(edits: Edits, path: Path, root: Path) -> None:
    """Add to *edits* `async def` and `await` for the functions under Tornado's decorators."""
    done: set[ast.AST] = set()
    for function in [node for node in edits.nodes if isinstance(node, FunctionNode)]:
        names = {_name(each, edits): each for each in function.decorator_list}
        old = {name: each for name, each in names.items() if COROUTINE.search(name) or ASYNCHRONOUS.search(name)}
        is_test = any(name.endswith("gen_test") for name in names) and any(
            isinstance(each, ast.Yield) for each in own_nodes(function.body, FunctionNode | ast.Lambda)
        )
        if not old and not is_test:
            continue
        done.update(old.values())
        is_coroutine = is_test or any(map(COROUTINE.search, old))
        mark = "" if is_coroutine or _finishes_response(function.body) else CALLBACK_COMMENT
        for each in old.values():
            start, end = edits.line_start(edits.span(each)[0]), edits.span(each)[1]
            line = f"{' ' * function.col_offset}{mark}\n" if mark else ""
            edits.replace(start, edits.text.index("\n", end) + 1, line)
        if not is_coroutine:
            continue  # a handler's method becomes `async def` in `calls`; a callback does not
        if isinstance(function, ast.FunctionDef):
            start, _ = edits.span(function)
            edits.replace(start, start, "async ")
        named = dict(assigned_in(ast.walk(function)))
        held = held_names(ast.walk(function))
        for node in own_nodes(function.body, FunctionNode | ast.Lambda):
            if _is_job(node, edits, held):
                edits.call("asyncio.wrap_future", node)
            if _to_await(node, edits, named):
                done.add(node)
            if isinstance(node, ast.Call) and TASK.search(_name(node, edits)) and len(node.args) > 1:
                _without_task(node, edits)
    _drop_unused(edits, done)


def _name(node: ast.AST, edits: Edits) -> str:
    """Return the full name of *node*, or of the function that it calls, as far as it is known."""
    node = node.func if isinstance(node, ast.Call) else node
    return edits.full_name(node) or dotted(node)


def _is_job(node: ast.AST, edits: Edits, held: set[str]) -> bool:
    """Whether *node* submits work to an executor and its future is awaited."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "submit":
        return False
    holder = edits.parents[holder_of(node, edits.parents)]
    return EXECUTOR.search(edits.value_of(node.func.value)) is not None and (
        isinstance(holder, ast.Yield) or is_held(holder, held)
    )


def _finishes_response(body: list[ast.stmt]) -> bool:
    """Whether every branch at the end of *body* finishes the response."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _finishes_response(last.body) and _finishes_response(last.orelse)
    if isinstance(last, ast.Raise):
        return True
    return isinstance(last, ast.Expr | ast.Return) and called(last.value) in FINISHERS


def _without_task(task: ast.Call, edits: Edits) -> None:
    """Replace `gen.Task(f, ...)` by an awaited call, for `fetch` and, as a sleep, for `add_timeout`."""
    what, first = task.args[:2]
    method = what.attr if isinstance(what, ast.Attribute) else ""
    start, after = edits.span(task)[0], edits.span(what)[1]
    if edits.text[after : edits.span(first)[0]].strip() != ",":
        return
    if method == "fetch" and re.search(r"client|http", edits.source(what), re.IGNORECASE):
        edits.replace(start, edits.span(what)[0], "")
        edits.replace(after, edits.span(first)[0], "(")
        edits.insert_argument(task, "raise_error=False")  # a callback received errors as well
    elif method == "add_timeout" and last_name(first) == "timedelta":
        edits.replace(start, edits.span(first)[0], f"{edits.import_name('asyncio')}.sleep(")
        edits.wrap(first, "", ".total_seconds()")
    elif method == "add_timeout" and (now := re.match(r"(?:time\.)?time\(\)\s*\+\s*(?=[\w.]+$)", edits.source(first))):
        edits.replace(start, edits.span(first)[0] + now.end(), f"{edits.import_name('asyncio')}.sleep(")


def _taker_of(node: ast.AST, edits: Edits) -> str:
    """Return the function that makes *node* awaitable; Tornado's `yield` also accepted lists and dictionaries."""
    is_sum = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)  # of lists
    if (
        is_sum
        or called(node) in ("dict", "list")
        or isinstance(node, ast.List | ast.Dict | ast.ListComp | ast.DictComp)
    ):
        return edits.import_name("tornado.gen", "multi")
    return edits.import_name("tornado.gen", "convert_yielded") if LISTS.search(dotted(node)) else ""


def _to_await(node: ast.AST, edits: Edits, named: dict[str, ast.expr]) -> bool:
    """Write `await` for `yield`, `return` for `raise gen.Return`; return whether *node* was one of them."""
    if isinstance(node, ast.Raise) and node.exc is not None and RETURN.search(_name(node.exc, edits)):
        call = node.exc if isinstance(node.exc, ast.Call) else None
        value = call.args[0] if call and call.args else None
        start, end = edits.span(node)
        if value is None or call is None:
            edits.replace(start, end, "return")
        elif "\n" in edits.source(node):  # the parentheses keep the lines one statement
            edits.replace(start, edits.text.index("(", edits.span(call.func)[1]), "return ")
        else:
            edits.replace(start, edits.span(value)[0], "return ")
            edits.replace(edits.span(value)[1], end, "")
        return True
    if not isinstance(node, ast.Yield):
        return False
    start, end = edits.span(node)
    if node.value is None or edits.source(node.value) == "None" or MOMENT.search(_name(node.value, edits)):
        edits.replace(start, end, f"await {edits.import_name('asyncio')}.sleep(0)")
        return True
    edits.replace(start, start + 5, "await")
    taker = _taker_of(named.get(dotted(node.value), node.value), edits)
    is_joined = isinstance(node.value, ast.BinOp | ast.BoolOp | ast.IfExp | ast.Compare | ast.UnaryOp | ast.Lambda)
    if taker or (is_joined and edits.text[edits.span(node.value)[0] - 1] != "("):
        edits.wrap(node.value, f"{taker}(", ")")
    return True


def _drop_unused(edits: Edits, done: set[ast.AST]) -> None:
    """Remove from imports the names that Tornado 6 lacks, and those used only by the nodes *done*."""
    for node in edits.tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module not in ("tornado.gen", "tornado.web"):
            continue
        kept = [each for each in node.names if not _is_dropped(each, done, edits)]
        if len(kept) < len(node.names):
            edits.keep_names(node, kept)


def _is_dropped(alias: ast.alias, done: set[ast.AST], edits: Edits) -> bool:
    if alias.name not in GONE_NAMES | OLD_NAMES:
        return False
    loads = loads_in(edits.tree, alias.asname or alias.name)
    is_used = any(not done.intersection(_around(each, edits)) for each in loads)
    is_reexported = alias.asname is not None and not loads
    return not is_reexported and (alias.name in GONE_NAMES or not is_used)


def _around(node: ast.AST, edits: Edits) -> Iterator[ast.AST]:
    """Yield *node* and its ancestors, innermost first."""
    while node in edits.parents:
        yield node
        node = edits.parents[node]
