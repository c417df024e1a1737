"""Insertion of the `await`s and `async`s that a file needs.

Arguments of Redis commands are rewritten to the form of redis-py 3 and later, which differs from 1.8's StrictRedis.
"""

import ast
from collections.abc import Iterable, Iterator

from torngas_aio.cli.kinds import REDIS_CHANGED, REDIS_SETS
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.findings import IN_THREADS, Finding
from torngas_aio.cli.port.python2 import parse
from torngas_aio.cli.port.summary import Use
from torngas_aio.cli.port.syntax import FunctionNode, deferred_around, dotted, last_name, position_of
from torngas_aio.cli.port.texts import accepts_bytes

__all__ = ["await_calls", "write_arguments"]

FORMS: dict[str, type] = {
    "call": ast.Call, "open": ast.Call, "slice": ast.Subscript, "user": ast.Attribute, "in": ast.Compare,
    "with": ast.With, "for": ast.expr, "text": ast.Call, "arguments": ast.Call, "task": ast.Call,
}  # fmt: skip
"""Form of a use: its node type."""

OPTIONS = {"nx", "xx", "ch", "incr", "gt", "lt"}


def await_calls(
    path: str, text: str, functions: set[int], uses: Iterable[Use], main: Iterable[Use], *,
    is_script: bool, is_python2: bool, is_plain: bool = False,
) -> tuple[str, list[Finding]]:  # fmt: skip
    """Return *text* with its calls awaited, and the findings for the rest.

    Args:
        functions: Lines of the `def`s that become `async def`.
        uses: Uses inside functions that must be awaited.
        main: The same in module-level code.
        is_script: Whether no other file imports this one.
        is_python2: Whether the project is written for Python 2.
        is_plain: Whether the project keeps Tornado's handlers.
    """
    tree = parse(text)
    assert tree is not None
    edits = Edits(text, tree)
    uses = [*uses, *(use for use in main if use.form == "arguments")]
    starts = [use for use in main if use.form == "start"]
    main = [use for use in main if not use.is_awaited and use.form not in ("arguments", "start")]
    tail = (_tail(tree, [*starts, *main]) or _tail(tree, main)) if main and is_script else []
    findings: list[Finding] = []
    if main and not tail:
        is_start = "torngas_aio.webserver" in text
        where = "a middleware's `process_init`, which the server awaits" if is_start else "an `async def`"
        advice = f"The module's own code waits. Move it into {where}."
        findings += [Finding(path, use.position[0], "TGM203", advice) for use in main]
    wanted = {(use.position, use.form) for use in [*uses, *(main if tail else [])] if not use.is_awaited}
    lists: set[ast.AST] = set()
    for node in reversed(edits.nodes):  # inner nodes first, as `Edits.wrap` requires
        if isinstance(node, ast.FunctionDef) and node.lineno in functions:
            _make_async(node, edits)
        position = position_of(node) if isinstance(node, ast.expr | ast.stmt) else None
        for form in [form for form, kind in FORMS.items() if isinstance(node, kind) and (position, form) in wanted]:
            if form != "arguments":
                _write(edits, node, form)
                lists.update(
                    each for each in deferred_around(node, edits.parents) if isinstance(each, ast.GeneratorExp)
                )
            elif isinstance(node, ast.Call) and not write_arguments(
                node, command := last_name(node), edits, is_python2=is_python2
            ):
                advice = f"{command}{REDIS_CHANGED[command]} is the form of redis-py 3 and later."
                findings.append(Finding(path, node.lineno, "TGM313", advice))
    for node in lists:
        start, end = edits.span(node)
        is_shared = edits.text[start - 1].isidentifier()  # the parentheses belong to the call
        edits.replace(start, start + 1, "([" if is_shared else "[")
        edits.replace(end - 1, end, "])" if is_shared else "]")
    text = edits.apply()
    return (_move_into_main(text, len(tree.body) - len(tail), is_plain=is_plain) if tail else text), findings


def _make_async(function: ast.FunctionDef, edits: Edits) -> None:
    start, _ = edits.span(function)
    edits.replace(start, start, "async ")
    for each in function.decorator_list:
        name = dotted(each).rpartition(".")[2]
        if name in IN_THREADS:  # valid on plain functions only
            begin = edits.line_start(edits.span(each)[0])
            edits.replace(begin, edits.text.index("\n", begin) + 1, "")
        elif name == "contextmanager":
            edits.replace(*edits.span(each), edits.import_name("contextlib", "asynccontextmanager"))


def _write(edits: Edits, node: ast.AST, form: str) -> None:
    parent = edits.parents[node]
    if form == "with":
        start, _ = edits.span(node)
        edits.replace(start, start, "async ")
    elif form == "for":
        edits.wrap(node, "await ", ".all()")
    elif form == "task":
        edits.call("asyncio.ensure_future", node)
    elif isinstance(node, ast.Compare):
        found = f"await {edits.source(node.comparators[0])}.has_key({edits.source(node.left)})"
        text = f"not {found}" if isinstance(node.ops[0], ast.NotIn) else found
        edits.replace(*edits.span(node), f"({text})" if isinstance(parent, ast.Compare | ast.BinOp) else text)
    elif form == "text" and isinstance(node, ast.Call):
        if not accepts_bytes(node, edits):
            maker, is_set = edits.import_name("tornado.escape", "recursive_unicode"), last_name(node) in REDIS_SETS
            edits.wrap(node, f"set({maker}(list(" if is_set else f"{maker}(", ")))" if is_set else ")")
    elif not isinstance(parent, ast.Await):
        if form == "user" and isinstance(node, ast.Attribute):
            end = edits.span(node)[1]
            edits.replace(end - len(node.attr), end, "load_current_user()")
        is_owner = isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node
        is_owner = is_owner or (isinstance(parent, ast.Call) and parent.func is node)
        is_power = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Pow) and parent.right is node
        edits.wrap(node, *(("(await ", ")") if is_owner or is_power else ("await ", "")))


def _tail(tree: ast.Module, main: list[Use]) -> list[ast.stmt]:
    """Return the trailing statements of a script that can be moved into a coroutine function."""
    first = min(use.position[0] for use in main)
    index = next(i for i, node in enumerate(tree.body) if first <= (node.end_lineno or 0))
    tail = tree.body[index:]
    moved = [node for statement in tail for node in ast.walk(statement)]
    if any(isinstance(node, ast.ClassDef | ast.FunctionDef | ast.ImportFrom) for node in moved):
        return []
    if any(isinstance(n, ast.Constant | ast.JoinedStr) and n.lineno != n.end_lineno for n in moved):
        return []
    bound = {node.id for node in moved if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    before = [node for statement in tree.body[:index] for node in ast.walk(statement)]
    local = {id(each) for node in before if isinstance(node, FunctionNode) for each in _local_names(node)}
    used = {node.id for node in before if isinstance(node, ast.Name) and id(node) not in local}
    return [] if bound & used or (len(tail) > 1 and _is_guard(tail[0])) else tail


def _local_names(function: FunctionNode) -> Iterator[ast.Name]:
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    bound = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    bound -= {name for node in ast.walk(function) if isinstance(node, ast.Global) for name in node.names}
    yield from (node for node in nodes if node.id in bound)


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test) and not node.orelse


def _move_into_main(text: str, index: int, *, is_plain: bool) -> str:
    """Move the statements from *index* on into a coroutine function and run it, in the project unless *is_plain*."""
    tree = parse(text)
    assert tree is not None
    lines = text.splitlines(keepends=True)
    first = tree.body[index]
    name = "run_script" if "def main(" in text else "main"
    guard = 'if __name__ == "__main__":\n'
    end = first.end_lineno or 0
    if isinstance(first, ast.If) and _is_guard(first):
        body = lines[first.body[0].lineno - 1 : end]
        indent = first.body[0].col_offset
    else:
        body, indent, end = lines[first.lineno - 1 :], 0, len(lines)
    opening = "" if is_plain else "    async with torngas_aio.project():\n"
    moved = [f"{' ' * (4 if is_plain else 8)}{line[indent:]}" if line.strip() else line for line in body]
    if not moved[-1].endswith("\n"):
        moved[-1] += "\n"
    head = "".join(lines[: first.lineno - 1]).rstrip("\n")
    made = f"{head}\n\n\nasync def {name}():\n{opening}{''.join(moved)}\n\n"
    made += f"{guard}    asyncio.run({name}())\n{''.join(lines[end:])}"
    tree = parse(made)
    assert tree is not None
    edits = Edits(made, tree)
    for module in ("asyncio", *([] if is_plain else ["torngas_aio"])):
        edits.import_name(module)
    return edits.apply()


def write_arguments(call: ast.Call, command: str, edits: Edits, *, is_python2: bool) -> bool:
    """Rewrite the arguments of *call* to redis-py 3's form; return False if their present form is unknown."""
    given = call.args if command.startswith("mset") else call.args[1:]
    has_star = any(isinstance(each, ast.Starred) for each in given)
    if command == "zincrby":
        return not has_star and _write_amount(call, given, edits, is_python2=is_python2)
    if command == "geoadd":
        is_old = has_star or (len(given) > 2 and is_python2)
        if is_old:
            edits.wrap(given[0], "[", "")
            edits.wrap(given[-1], "", "]")
        return is_old or len(given) < 3
    return not has_star and _write_mapping(call, given, edits, is_python2=is_python2)


def _write_mapping(call: ast.Call, given: list[ast.expr], edits: Edits, *, is_python2: bool) -> bool:
    """Merge alternating scores and members, and keywords, into one dictionary."""
    pairs = [each for each in call.keywords if each.arg not in OPTIONS]
    is_mapping = len(given) == 1 or (len(given) > 1 and isinstance(given[0], ast.Dict))
    if is_mapping or not (given or pairs):
        return not (is_mapping and pairs)
    if len(given) % 2 or (given and not (pairs or is_python2 or _is_number(given[0]))):
        return False
    items = [f"{edits.source(member)}: {edits.source(score)}"
             for score, member in zip(given[::2], given[1::2], strict=True)]  # fmt: skip
    items += [f"{each.arg!r}: {edits.source(each.value)}" if each.arg else edits.source(each) for each in pairs]
    mapping = items[0][2:] if len(items) == 1 and items[0].startswith("**") else f"{{{', '.join(items)}}}"
    first = call.args[: len(call.args) - len(given)]
    kept = [edits.source(each) for each in call.keywords if each.arg in OPTIONS]
    arguments = ", ".join([*map(edits.source, first), mapping, *kept])
    edits.replace(edits.span(call.func)[1], edits.span(call)[1], f"({arguments})")
    return True


def _write_amount(call: ast.Call, given: list[ast.expr], edits: Edits, *, is_python2: bool) -> bool:
    """Pass member and amount of a `zincrby` by keyword; the amount was the last argument, by default 1."""
    keywords = {each.arg for each in call.keywords}
    if len(given) == 1 and keywords <= {"amount"}:
        edits.wrap(given[0], "value=", "" if keywords else ", amount=1")
    elif len(given) == 2 and _is_number(given[0]) <= _is_number(given[1]):
        if not is_python2 and not _is_number(given[1]):
            return False
        edits.wrap(given[0], "value=", "")
        edits.wrap(given[1], "amount=", "")
    return True


def _is_number(node: ast.AST) -> bool:
    value = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(value, ast.Constant) and isinstance(value.value, int | float)
