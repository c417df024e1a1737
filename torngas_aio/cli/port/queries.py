"""Forms that SQLAlchemy 2 has removed, and their replacements.

relation("Post"), eagerload(A.b)        relationship("Post"), joinedload(A.b)
select([A.id], A.id > 1)                select(A.id).where(A.id > 1)
A.Q.options(joinedload("posts"))        A.Q.options(joinedload(A.posts))
A.Q.with_lockmode("update")             A.Q.with_for_update()
A.Q[10:20]                              A.Q.slice(10, 20).all()
row["name"]                             row._mapping["name"], for rows of `session.execute`
"""

import ast
import re
from pathlib import Path

from torngas_aio.cli.kinds import AWAITED, chain_of
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.syntax import FunctionNode, assigned_in, dotted, last_name, text_of

__all__ = ["rewrite_queries"]

RENAMED = {
    "eagerload": "joinedload", "eagerload_all": "joinedload", "joinedload_all": "joinedload",
    "relation": "relationship", "subqueryload_all": "subqueryload",
}  # fmt: skip
OPTIONS = {
    "contains_eager", "defer", "immediateload", "joinedload", "lazyload", "load_only", "noload", "selectinload",
    "subqueryload", "undefer",
}  # fmt: skip
ONE_ROW = r"\.(?:first|fetchone|one)\(\)$"
LOCKS = {"update": "", "read": "read=True", "update_nowait": "nowait=True"}
"""Mode of `with_lockmode`: the argument of `with_for_update`."""


def rewrite_queries(edits: Edits, path: Path, root: Path) -> None:
    """Add to *edits* the replacements of forms that SQLAlchemy 2 lacks."""
    for node in reversed(edits.nodes):
        if isinstance(node, ast.Name) and node.id in RENAMED and _is_imported(node.id, edits):
            edits.replace(*edits.span(node), RENAMED[node.id])
        elif isinstance(node, ast.Call):
            _rewrite_call(node, edits)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            _rewrite_slice(node, node.slice, edits)
        elif isinstance(node, FunctionNode):
            _rewrite_rows(node, edits)
        elif isinstance(node, ast.ImportFrom) and _is_sqlalchemy(node):
            for each in [each for each in node.names if each.name in RENAMED]:
                is_known = RENAMED[each.name] in {other.name for other in node.names if other is not each}
                _rename_import(node, each, edits, is_known=is_known)


def _is_sqlalchemy(node: ast.ImportFrom) -> bool:
    return f"{node.module}.".startswith("sqlalchemy.")


def _is_imported(name: str, edits: Edits) -> bool:
    """Whether *name* is SQLAlchemy's in the file, by its own import or by `import *`."""
    imports = [node for node in edits.nodes if isinstance(node, ast.ImportFrom) and _is_sqlalchemy(node)]
    return any(each.name in (name, "*") and not each.asname for node in imports for each in node.names)


def _rename_import(node: ast.ImportFrom, alias: ast.alias, edits: Edits, *, is_known: bool) -> None:
    if is_known and not alias.asname:
        edits.keep_names(node, [each for each in node.names if each is not alias])
    else:
        start = edits.span(alias)[0]
        edits.replace(start, start + len(alias.name), RENAMED[alias.name])


def _rewrite_call(call: ast.Call, edits: Edits) -> None:
    name, first = last_name(call), call.args[0] if call.args else None
    owner = dotted(call.func).rpartition(".")[0]
    if isinstance(first, ast.List) and name == "select" and not call.keywords and len(call.args) < 3 and first.elts:
        if owner in ("sa", "sql", "sqlalchemy") if owner else _is_imported("select", edits):
            _rewrite_select(call, first, edits)
    elif name == "with_lockmode" and isinstance(call.func, ast.Attribute) and text_of(first) in LOCKS:
        edits.replace(edits.span(call.func.value)[1], edits.span(call)[1], f".with_for_update({LOCKS[text_of(first)]})")
    elif name == "begin" and "subtransactions" in {each.arg for each in call.keywords}:
        parent = edits.parents[call]
        if isinstance(parent, ast.Expr):
            edits.replace(*edits.span(parent), "pass")  # a session begins its transaction automatically
        elif isinstance(parent, ast.withitem) and isinstance(call.func, ast.Attribute):
            edits.replace(edits.span(call.func.value)[1], edits.span(call)[1], ".begin_nested()")
    elif name in OPTIONS or name in ("join", "outerjoin"):
        query: ast.AST = edits.parents[call] if name in OPTIONS else call
        is_query = isinstance(query, ast.Call) and (query is call or last_name(query) == "options")
        model = _model_of(query.func) if isinstance(query, ast.Call) and is_query else ""
        for each in call.args if model else ():
            if text_of(each).isidentifier():
                edits.replace(*edits.span(each), f"{model}.{text_of(each)}")


def _rewrite_select(call: ast.Call, columns: ast.List, edits: Edits) -> None:
    start, end = edits.span(columns)
    edits.replace(start, start + 1, "")
    edits.replace(end - 1, edits.span(call.args[-1])[1], "")
    if len(call.args) > 1:
        edits.wrap(call, "", f".where({edits.source(call.args[1])})")


def _model_of(func: ast.AST) -> str:
    """Return the model of the query whose method is *func*: `A.Q.filter(...).options`, `s.query(A).options`."""
    node = func
    while isinstance(node, ast.Attribute | ast.Call):
        if isinstance(node, ast.Attribute) and node.attr == "Q":
            return "type(self)" if dotted(node.value) == "self" else dotted(node.value)
        if isinstance(node, ast.Call) and last_name(node) == "query" and node.args:
            return dotted(node.args[0])
        node = node.func if isinstance(node, ast.Call) else node.value
    return ""


def _rewrite_slice(node: ast.Subscript, part: ast.Slice, edits: Edits) -> None:
    """Rewrite a slice of a query; a slice of fetched rows stays."""
    chain = chain_of(node.value)
    is_rows = len(chain) > 1 and chain[-1] == "()" and chain[-2][1:] in AWAITED["query"]
    if part.step or is_rows or not ({".Q", ".query"} & set(chain)) or chain.count("[]") or part.lower is part.upper:
        return
    lower, upper = (each and edits.source(each) for each in (part.lower, part.upper))
    if "-" in f"{lower}{upper}":
        return
    limited = f".slice({lower or 0}, {upper})" if upper else f".offset({lower})"
    edits.replace(edits.span(node.value)[1], edits.span(node)[1], f"{limited}.all()")


def _rewrite_rows(function: FunctionNode, edits: Edits) -> None:
    """Read columns by name from `row._mapping`: a row of `session.execute` is a tuple."""
    nodes = list(ast.walk(function))
    assigned = [(name, ast.unparse(value)) for name, value in assigned_in(nodes)]
    loops = [(dotted(node.target), ast.unparse(node.iter)) for node in nodes
             if isinstance(node, ast.For | ast.comprehension)]  # fmt: skip
    owners = [r"[\w.]*session"]
    owners += [re.escape(name) for name, value in assigned if re.search(r"\.session(?:\.using_master\(\))?$", value)]
    executed = rf"(?:{'|'.join(owners)})(?:\.using_master\(\))?\.execute\("
    results = [re.escape(name) for name, value in assigned if re.search(executed, value)]
    given = re.compile("|".join([executed, *(rf"^{name}(?:$|\.)" for name in results)]))
    rows = {name for name, value in loops if given.search(value)}
    rows |= {name for name, value in assigned if given.search(value) and re.search(ONE_ROW, value)}
    for node in nodes:
        if isinstance(node, ast.Subscript) and dotted(node.value) in rows - {""} and text_of(node.slice):
            edits.wrap(node.value, "", "._mapping")
