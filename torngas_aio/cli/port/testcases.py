"""Test cases with coroutine methods: unchanged, the runner would not await them, and they would pass unrun.

unittest.TestCase            unittest.IsolatedAsyncioTestCase; setUp, tearDown to asyncSetUp, asyncTearDown
tornado.testing's            @gen_test; self.fetch(...) to await self.http_client.fetch(...)
"""

import ast
from collections.abc import Iterator, Mapping
from itertools import pairwise

from torngas_aio.cli.port import syntax
from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.findings import Finding
from torngas_aio.cli.port.python2 import parse
from torngas_aio.cli.port.syntax import FunctionNode, called, dotted, last_name, nodes_of

__all__ = ["NEVER_AWAITED", "mend_tests"]

UNITTEST_CASES = {"unittest.TestCase", "unittest2.TestCase"}
RENAMED = {"setUp": "asyncSetUp", "tearDown": "asyncTearDown"}
NEVER_AWAITED = {
    "unittest": {"setUpClass", "tearDownClass"},
    "tornado": {"setUp", "tearDown", "setUpClass", "tearDownClass", "get_app"},
}
"""Kind of test case: methods that its runner does not await."""

LOOP_RUNS = "The loop is already running in an `async def` test: await the call instead of `self.wait()`."


def mend_tests(text: str, kinds: Mapping[str, str], path: str) -> tuple[str, list[Finding]]:
    """Return *text* with its test cases converted, and the findings for the rest.

    Args:
        text: A file in which the `await`s are already inserted.
        kinds: Name of a test case: "tornado", or "unittest" if it has coroutine methods.
        path: The file's path in findings.
    """
    tree = parse(text)
    assert tree is not None
    edits = Edits(text, tree)
    for node in nodes_of(tree, ast.ClassDef):
        if kinds.get(node.name) == "unittest":
            _mend_unittest(node, edits)
        elif kinds.get(node.name) == "tornado":
            _mend_tornado(node, edits)
    made = edits.apply()
    left = (Finding(path, line, "TGM202", advice) for line, advice in _left_in(parse(made) or tree, kinds))
    return made, [*left]


def _left_in(tree: ast.Module, kinds: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yield line and advice for calls of `self.wait()` in coroutine methods, where the loop is already running."""
    for case in [each for each in nodes_of(tree, ast.ClassDef) if kinds.get(each.name) == "tornado"]:
        for method in [each for each in case.body if isinstance(each, ast.AsyncFunctionDef)]:
            for node in syntax.own_nodes(method.body, FunctionNode | ast.Lambda):
                if isinstance(node, ast.Call) and called(node) == "self.wait":
                    yield node.lineno, LOOP_RUNS


def _mend_unittest(case: ast.ClassDef, edits: Edits) -> None:
    for base in [each for each in case.bases if edits.full_name(each) in UNITTEST_CASES]:
        if isinstance(base, ast.Name):
            edits.replace(*edits.span(base), edits.import_name("unittest", "IsolatedAsyncioTestCase"))
        else:
            edits.replace(*edits.span(base), f"{edits.import_name('unittest')}.IsolatedAsyncioTestCase")
    for method in [each for each in case.body if isinstance(each, ast.AsyncFunctionDef) and each.name in RENAMED]:
        start = edits.text.index(method.name, edits.span(method)[0] + len("async def"))
        edits.replace(start, start + len(method.name), RENAMED[method.name])
        for node in ast.walk(method):
            call = node.value if isinstance(node, ast.Await | ast.Expr) else None
            if not isinstance(call, ast.Call) or last_name(call) != method.name:
                continue
            if isinstance(node, ast.Await):
                end = edits.span(call.func)[1]
                edits.replace(end - len(method.name), end, RENAMED[method.name])
            else:  # the runner itself calls a base class's plain method
                start, end = edits.span(node)
                is_line = node in method.body[:-1] and edits.text[end : end + 1] == "\n"
                edits.replace(edits.line_start(start) if is_line else start, end + is_line, "" if is_line else "pass")


def _mend_tornado(case: ast.ClassDef, edits: Edits) -> None:
    own = syntax.methods_of(case)
    for method in own.values():
        pairs = dict(_stopped_fetches(method))
        is_test = method.name.startswith("test")
        if isinstance(method, ast.FunctionDef) and not (is_test and pairs):
            continue
        start = edits.span(method)[0]
        if isinstance(method, ast.FunctionDef):
            edits.replace(start, start, "async ")
        if is_test and "gen_test" not in syntax.decorators_of(method):
            line = f"@{edits.import_name('tornado.testing', 'gen_test')}\n{' ' * method.col_offset}"
            edits.wrap(method, line, "")
        for sent, waited in pairs.items():
            _join(sent, waited, edits)
        for node in syntax.own_nodes(method.body, FunctionNode | ast.Lambda):
            if isinstance(node, ast.Call) and called(node) == "self.fetch" and "fetch" not in own and node.args:
                _await_fetch(node, edits)


def _stopped_fetches(method: FunctionNode) -> Iterator[tuple[ast.Call, ast.Call]]:
    """Yield each `client.fetch(..., self.stop)` of *method* with the `self.wait()` in the next statement."""
    for node in ast.walk(method):
        block: list[ast.stmt] = getattr(node, "body", []) if isinstance(node, ast.stmt | ast.ExceptHandler) else []
        for first, second in pairwise(block):
            sent = first.value if isinstance(first, ast.Expr) else None
            waited = second.value if isinstance(second, ast.Assign | ast.Expr) else None
            if not isinstance(sent, ast.Call) or not isinstance(waited, ast.Call) or last_name(sent) != "fetch":
                continue
            given = [*sent.args, *(each.value for each in sent.keywords if each.arg == "callback")]
            if dotted(waited.func) == "self.wait" and len(given) > 1 and dotted(given[-1]) == "self.stop":
                yield sent, waited


def _join(sent: ast.Call, waited: ast.Call, edits: Edits) -> None:
    """Replace *sent*, which passes `self.stop`, and *waited*, `self.wait()`, by one awaited call."""
    arguments = [edits.source(each) for each in sent.args if dotted(each) != "self.stop"]
    arguments += [f"{each.arg}={edits.source(each.value)}" for each in sent.keywords if each.arg != "callback"]
    call = f"await {edits.source(sent.func)}({', '.join([*arguments, 'raise_error=False'])})"
    edits.replace(edits.line_start(edits.span(sent)[0]), edits.line_start(edits.span(waited)[0]), "")
    edits.replace(*edits.span(waited), call)


def _await_fetch(call: ast.Call, edits: Edits) -> None:
    """Write `await self.http_client.fetch(self.get_url(path), raise_error=False)` for `self.fetch(path)`."""
    is_address = edits.source(call.args[0]).lstrip("furb\"'").startswith("http")
    if not is_address:
        edits.wrap(call.args[0], "self.get_url(", ")")
    if not any(each.arg == "raise_error" for each in call.keywords):
        edits.insert_argument(call, "raise_error=False")
    is_owner = isinstance(edits.parents[call], ast.Attribute | ast.Subscript)
    edits.replace(*edits.span(call.func), f"{'(' if is_owner else ''}await self.http_client.fetch")
    edits.wrap(call, "", ")" if is_owner else "")
