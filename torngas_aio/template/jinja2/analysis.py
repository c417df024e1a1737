"""Can this Jinja2 template await anything? Read from its syntax tree, and those of all it names.

    nothing can        ordinary environment; about a quarter less time for each page
    something might    environment with `enable_async`

What cannot await: output, tests, loops and conditions over values; filters and tests that Jinja2 ships; calls
of macros, of Jinja2's own helpers, of the handler's names and of methods such as `strftime` or `items` (PURE_METHODS).
Any other call, filter, dynamic parent or include might. A value that turns out to need awaiting all the same is
met by the guards of `_jinja2_guards`, which begin the page anew in the other environment.
Begin with `analyse`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jinja2 import nodes

__all__ = ["PURE_FUNCTIONS", "PURE_METHODS", "Analysis", "Shipped", "analyse"]

PURE_FUNCTIONS = frozenset(
    {
        # Jinja2's own
        "range", "dict", "lipsum", "cycler", "joiner", "namespace", "caller", "super",
        # the handler's
        "_", "translate", "gettext", "ngettext", "pgettext", "static_url", "reverse_url", "xsrf_form_html",
        "get_flashed_messages",
    }
)  # fmt: skip

PURE_METHODS = frozenset(
    {
        "capitalize", "center", "count", "ctime", "date", "endswith", "find", "format", "index",
        "isalpha", "isdigit", "isoformat", "items", "join", "keys", "ljust", "lower", "lstrip", "partition",
        "replace", "rfind", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strftime",
        "strip", "time", "timestamp", "title", "upper", "values", "weekday", "zfill", "pgettext", "translate",
    }
)  # fmt: skip
"""Methods that change nothing and, on the values pages are made of, never await."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """Names of the filters and tests that Jinja2 ships, less those that the project replaced."""

    filters: frozenset[str]
    tests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of a template and of every template it names.

    Attributes:
        can_await: Whether something in them might have to be awaited.
        names: Every name they look up, None when a part is chosen at run time.
        parts: The names of all templates that belong to it, its own included.
    """

    can_await: bool
    names: frozenset[str] | None
    parts: frozenset[str]


def analyse(name: str, parse: Callable[[str], nodes.Template], shipped: Shipped) -> Analysis:
    """Read *name* and whatever it extends, includes and imports.

    Args:
        parse: Gives a template's tree; what it raises passes.
        shipped: The filters and tests that are Jinja2's own.
    """
    can_await, is_dynamic = False, False
    names: set[str] = set()
    parts: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in parts:
            continue
        parts.add(current)
        tree = parse(current)
        found = list(_referenced(tree))
        is_dynamic = is_dynamic or None in found
        waiting.extend(part for part in found if part is not None)
        names.update(node.name for node in tree.find_all(nodes.Name))
        names.update(_calls_of_extensions(tree))
        can_await = can_await or _can_await(tree, shipped)
    return Analysis(can_await or is_dynamic, None if is_dynamic else frozenset(names), frozenset(parts))


def _referenced(tree: nodes.Template) -> Iterator[str | None]:
    """The templates that *tree* names; None for one that is chosen at run time or may be missing."""
    kinds = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    for node in tree.find_all(kinds):
        target = node.template  # type: ignore[attr-defined]  # each of the four has it
        # `include [a, b]` and `ignore missing` choose at run time.
        is_fixed = isinstance(target, nodes.Const) and isinstance(target.value, str)
        if is_fixed and not getattr(node, "ignore_missing", False):
            yield target.value
        else:
            yield None


def _can_await(tree: nodes.Template, shipped: Shipped) -> bool:
    if any(node.name not in shipped.filters for node in tree.find_all(nodes.Filter)):
        return True
    if any(node.name not in shipped.tests for node in tree.find_all(nodes.Test)):
        return True
    known = _Known(tree)
    return not all(known.is_pure(call) for call in tree.find_all(nodes.Call))


class _Known:
    """What the names of one template stand for."""

    def __init__(self, tree: nodes.Template) -> None:
        assigned = Counter(node.name for node in tree.find_all(nodes.Name) if node.ctx != "load")
        helpers = Counter(_helper_names(tree))
        self._own = frozenset(name for name, count in helpers.items() if assigned[name] == count)
        self._assigned = frozenset(assigned)
        self._macros = {node.name for node in tree.find_all(nodes.Macro)} | set(_imported_names(tree))
        self._modules = {node.target for node in tree.find_all(nodes.Import)}

    def is_pure(self, call: nodes.Call) -> bool:
        """Whether *call* neither awaits nor does anything that must not be done twice."""
        if call.dyn_args is not None or call.dyn_kwargs is not None:
            return False
        target = call.node
        if isinstance(target, nodes.Name):
            return self._is_pure_name(target.name)
        if isinstance(target, nodes.Getattr):
            return self._is_pure_owner(target.node) or target.attr in PURE_METHODS
        return False

    def _is_pure_name(self, name: str) -> bool:
        if name in self._own or name == "loop":  # `loop(children)` of a recursive loop
            return True
        return name not in self._assigned and (name in self._macros or name in PURE_FUNCTIONS)

    def _is_pure_owner(self, owner: nodes.Expr) -> bool:
        if not isinstance(owner, nodes.Name):
            return False
        if owner.name in self._own or owner.name in {"self", "loop"}:
            return True
        return owner.name in self._modules and owner.name not in self._assigned


def _helper_names(tree: nodes.Template) -> Iterator[str]:
    """Names that are set to a cycler or a joiner, made anew for each page."""
    for node in tree.find_all(nodes.Assign):
        if isinstance(node.target, nodes.Name) and isinstance(node.node, nodes.Call):
            maker = node.node.node
            if isinstance(maker, nodes.Name) and maker.name in {"cycler", "joiner"}:
                yield node.target.name


def _imported_names(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(nodes.FromImport):
        for name in node.names:
            yield name if isinstance(name, str) else name[1]


def _calls_of_extensions(tree: nodes.Template) -> Iterator[str]:
    # Extensions look names up at run time: `{% trans %}` asks for these through the context.
    if next(tree.find_all((nodes.ExtensionAttribute, nodes.ImportedName)), None) is not None:
        yield from ("gettext", "ngettext", "pgettext")
