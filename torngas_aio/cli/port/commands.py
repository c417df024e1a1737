"""Commands of a Redis client whose arguments redis-py 3 and later take in another form than the StrictRedis of 1.8.

Begin with `write_arguments`.
"""

import ast

from torngas_aio.cli.port.edits import Edits

__all__ = ["CHANGED", "write_arguments"]

CHANGED = {
    "geoadd": "(name, [longitude, latitude, member])", "mset": "(mapping)", "msetnx": "(mapping)",
    "zadd": "(name, {member: score})", "zincrby": "(name, amount, member)",
}  # fmt: skip
"""Command: the arguments that it takes now."""

OPTIONS = {"nx", "xx", "ch", "incr", "gt", "lt"}


def write_arguments(call: ast.Call, command: str, edits: Edits, *, is_python2: bool) -> bool:
    """Write the arguments of *call* in today's form; return False where it is not known which form they have."""
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
    """Make one dictionary of scores and members in turn and of keywords."""
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
    """Name member and amount of a `zincrby`; the amount was the last argument, and 1 if it was not given."""
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
