"""Guards of the synchronous Jinja2 environment: nothing that would have to be awaited gets through.

    `{% for x in value %}`         value may be an async iterable      guarded
    value|join, |sort, |list ...   so may a filter's                   guarded
    f(x), value|first ...          may give something awaitable        guarded

A guard raises `MustAwait` before anything was taken from the value; the page is then begun anew in the
environment with `enable_async`. A value that can be walked only once raises it too, before its first item
is taken: beginning anew must find it whole. Begin with `guarded`.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import iscoroutine
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context, Undefined

from torngas_aio.template.cooperative import MustAwait
from torngas_aio.template.values import Shape, shape_of_value

__all__ = ["GUARD", "GuardedContext", "guard_walk", "guarded", "guarded_filters"]

GUARD = "torngas_aio_guard"
"""Name of the filter that is put around whatever is walked."""

_WALKING = frozenset(
    {
        "batch", "dictsort", "first", "groupby", "items", "join", "last", "length", "count", "list", "map", "max",
        "min", "random", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "sort", "sum", "tojson",
        "unique", "urlencode", "xmlattr",
    }
)  # fmt: skip
_GIVING = ("attr", "default", "d", "first", "last", "max", "min", "random", "sum")
_MAKING = _WALKING - frozenset(_GIVING)
_PLAIN = frozenset({str, int, float, bool, list, tuple, dict, type(None)})


class GuardedContext(Context):
    """A context whose calls may not give anything awaitable."""

    def call(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        value = super().call(func, *args, **kwargs)
        try:
            return guard_result(value)
        except MustAwait:
            if iscoroutine(value):
                value.close()  # made by this call and never begun, so nothing of it was done yet
            raise


def guard_result(value: Any) -> Any:
    """Return *value*, unless it has to be awaited."""
    if type(value) in _PLAIN or not shape_of_value(value) & Shape.AWAITABLE:
        return value
    raise MustAwait


def guard_walk(value: Any) -> Any:
    """Return *value*, unless walking it awaits or can be done once only."""
    if type(value) in _PLAIN or isinstance(value, Undefined):
        return value
    if shape_of_value(value) != Shape.PLAIN:
        raise MustAwait
    return value


def guarded(tree: nodes.Template) -> nodes.Template:
    """Put a guard around everything that *tree* walks; the tree itself is changed."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = _guard(loop.iter)
    for applied in list(tree.find_all(nodes.Filter)):
        if applied.name in _WALKING and applied.node is not None:
            applied.node = _guard(applied.node)
    for operand in list(tree.find_all(nodes.Operand)):
        if operand.op in {"in", "notin"}:
            operand.expr = _guard(operand.expr)
    for call in list(tree.find_all(nodes.Call)):
        if isinstance(call.node, nodes.Name) and call.node.name == "loop":
            call.args = [_guard(argument) for argument in call.args]
    for assignment in list(tree.find_all(nodes.Assign)):
        if isinstance(assignment.target, nodes.Tuple):
            assignment.node = _guard(assignment.node)
    return tree


def guarded_filters(filters: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Return *filters* with those guarded that hand on an item or attribute of their value."""
    changed: dict[str, Callable[..., Any]] = {GUARD: guard_walk}
    for name in _GIVING:
        changed[name] = _with_guarded_result(filters[name])
    changed["map"] = _with_guarded_items(filters["map"])
    return {**filters, **changed}


def _guard(node: Any) -> Any:
    # What these filters give is made anew each time; a literal is there for good.
    if isinstance(node, nodes.Literal) or (isinstance(node, nodes.Filter) and node.name in _MAKING):
        return node
    return nodes.Filter(node, GUARD, [], [], None, None, lineno=node.lineno, environment=node.environment)


def _with_guarded_result(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded_function(*args: Any, **kwargs: Any) -> Any:
        return guard_result(function(*args, **kwargs))

    return guarded_function


def _with_guarded_items(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guarded_function(*args: Any, **kwargs: Any) -> Iterator[Any]:
        return map(guard_result, function(*args, **kwargs))

    return guarded_function
