"""Names of the standard library that Python 3 has removed or changed: edits of a Python 2 project.

import md5; md5.new(x)              hashlib.md5(x)
json.loads(x, encoding="utf-8")     json.loads(x)
def __cmp__                         @total_ordering, __eq__ and __lt__ that call it
"""

import ast
import textwrap
from collections import defaultdict

from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.syntax import FunctionNode, binds, dotted, last_name, methods_of
from torngas_aio.cli.port.texts import UTF8, as_bytes

__all__ = ["GIVEN_METHODS", "mend_library"]

RENAMED = {
    "base64.decodestring": "base64.decodebytes", "base64.encodestring": "base64.encodebytes",
    "cgi.escape": "html.escape", "cgi.parse_qs": "urllib.parse.parse_qs", "cgi.parse_qsl": "urllib.parse.parse_qsl",
    "file": "open", "inspect.getargspec": "inspect.getfullargspec", "md5.md5": "hashlib.md5", "md5.new": "hashlib.md5",
    "sets.ImmutableSet": "frozenset", "sets.Set": "set", "sha.new": "hashlib.sha1", "sha.sha": "hashlib.sha1",
    "string.atof": "float", "string.atoi": "int", "string.atol": "int", "string.joinfields": "string.join",
    "string.letters": "string.ascii_letters", "string.lowercase": "string.ascii_lowercase",
    "string.splitfields": "str.split", "string.uppercase": "string.ascii_uppercase",
    "time.clock": "time.perf_counter", "xml.etree.cElementTree": "xml.etree.ElementTree",
    **{f"string.{name}": f"str.{name}" for name in (
        "capitalize", "center", "count", "expandtabs", "find", "index", "ljust", "lower", "lstrip", "maketrans",
        "replace", "rfind", "rindex", "rjust", "rsplit", "rstrip", "split", "strip", "swapcase", "upper", "zfill",
    )},
    **{f"collections.{name}": f"collections.abc.{name}" for name in (
        "Callable", "Container", "Hashable", "Iterable", "Iterator", "Mapping", "MutableMapping", "MutableSequence",
        "MutableSet", "Sequence", "Set", "Sized",
    )},
    **{f"types.{name}Type": new for name, new in {
        "Boolean": "bool", "Dict": "dict", "Float": "float", "Int": "int", "List": "list", "Long": "int",
        "Object": "object", "String": "str", "Tuple": "tuple", "Type": "type", "Unicode": "str",
    }.items()},
    **{f"urllib.{name}": f"urllib.parse.{name}" for name in (
        "quote", "quote_plus", "unquote", "unquote_plus", "urlencode",
    )},
    **{f"urllib.{name}": f"urllib.request.{name}" for name in (
        "pathname2url", "url2pathname", "urlopen", "urlretrieve",
    )},
    **{f"{module}i{name}": name for module in ("", "itertools.") for name in ("filter", "map", "zip")},
    "raw_input": "input", "unichr": "chr", "xrange": "range", "types.NoneType": "type(None)",
    "types.StringTypes": "str",
}  # fmt: skip
"""Dotted names that Python 3 lacks: their replacement."""

GONE = {"cgi", "md5", "sets", "sha"}
"""Modules that Python 3 or 3.13 has removed."""

GIVEN_METHODS = {
    "has_key": "__contains__",
    **{f"{kind}{name}": name for kind in ("iter", "view") for name in ("items", "keys", "values")},
}  # fmt: skip
"""Methods of dictionaries that are passed without a call; fissix converts the calls."""

METHODS = {"__div__": "__truediv__", "__idiv__": "__itruediv__", "__rdiv__": "__rtruediv__"}
JSON = {"json.dump", "json.dumps", "json.load", "json.loads"}
ADDED = {
    "cgi.escape": (1, "quote", "False"), "hmac.new": (2, "digestmod", '"md5"'),
    "pickle.load": (9, "encoding", '"utf-8"'), "pickle.loads": (9, "encoding", '"utf-8"'),
}  # fmt: skip
"""Function: the index, name and value of an argument that restores Python 2's behaviour; added if it is missing."""


def mend_library(edits: Edits) -> None:
    """Add to *edits* the library changes of a file already converted to Python 3; repeat until nothing changes."""
    _Mender(edits).run()


class _Mender:
    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._used = {each.id for each in edits.nodes if isinstance(each, ast.Name)}
        self._mends = {
            **dict.fromkeys(JSON, self._mend_json), "hmac.new": self._mend_hmac, "list": self._mend_list,
            "inspect.getargspec": self._mend_argspec, "map": self._mend_map, "next": self._mend_next,
            "print": self._mend_print,
        }  # fmt: skip

    def run(self) -> None:
        for node in reversed(self._edits.nodes):
            if isinstance(node, ast.Call):
                self._mend_call(node, self._edits.full_name(node.func))
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                self._mend_name(node)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                self._mend_import_from(node)
            elif isinstance(node, ast.Import):
                self._mend_import(node)
            elif isinstance(node, ast.ClassDef):
                self._mend_methods(node)

    def _mend_methods(self, kind: ast.ClassDef) -> None:
        methods = methods_of(kind)
        for name, node in methods.items():
            if (new := METHODS.get(name)) and not binds(kind, new):
                start = self._edits.text.index("__", self._edits.span(node)[0])
                self._edits.replace(start, self._edits.text.index("(", start), new)
        if "__cmp__" in methods and not binds(kind, "__lt__"):
            self._mend_order(kind, methods["__cmp__"])

    def _mend_order(self, kind: ast.ClassDef, compare: FunctionNode) -> None:
        """Define Python 3's comparisons by `__cmp__`."""
        base = dotted(kind.bases[0]) if kind.bases else "object"
        wanted = {
            "__eq__": "def __eq__(self, other):\n    return self.__cmp__(other) == 0\n",
            "__hash__": f"__hash__ = {base}.__hash__\n" if base and not binds(kind, "__eq__") else "",
            "__lt__": "def __lt__(self, other):\n    return self.__cmp__(other) < 0\n",
        }
        text = "\n".join(each for name, each in wanted.items() if each and not binds(kind, name))
        end = self._edits.span(compare)[1]
        self._edits.replace(end, end, f"\n\n{textwrap.indent(text, ' ' * compare.col_offset).rstrip()}")
        start = self._edits.span(kind)[0]
        decorator = self._edits.import_name("functools", "total_ordering")
        self._edits.replace(start, start, f"@{decorator}\n{' ' * kind.col_offset}")

    def _mend_name(self, node: ast.Name | ast.Attribute) -> None:
        if isinstance(node, ast.Attribute) and node.attr in GIVEN_METHODS and "." not in self._edits.full_name(node):
            end = self._edits.span(node)[1]
            self._edits.replace(end - len(node.attr), end, GIVEN_METHODS[node.attr])
        new = RENAMED.get(self._edits.full_name(node))
        if new is None or (isinstance(node, ast.Name) and ("." in new or not self._edits.is_free(node.id))):
            return  # `_mend_import_from` changes the import, and keeps the bare name
        module, dot, name = new.rpartition(".")
        is_of_module = dot and module not in ("str", "string")
        self._edits.replace(
            *self._edits.span(node), f"{self._edits.import_name(module)}.{name}" if is_of_module else new
        )

    def _mend_import_from(self, node: ast.ImportFrom) -> None:
        """Import names from their new modules; drop the import of a name that is a builtin now and unused."""
        kept: list[ast.alias] = []
        added: dict[str, list[str]] = defaultdict(list)
        for each in node.names:
            local, new = each.asname or each.name, RENAMED.get(f"{node.module}.{each.name}")
            module, _, name = (new or "").rpartition(".")
            if new is None or (not module and local in self._used):
                kept.append(each)
            elif module:
                added[module].append(name if name == local else f"{name} as {local}")
        if len(kept) < len(node.names):
            lines = [f"from {module} import {', '.join(names)}" for module, names in added.items()]
            self._edits.keep_names(node, kept, lines)

    def _mend_import(self, node: ast.Import) -> None:
        for each in node.names:
            if each.asname and each.name in RENAMED:
                start = self._edits.text.index(each.name, self._edits.span(each)[0])
                self._edits.replace(start, start + len(each.name), RENAMED[each.name])
        kept = [each for each in node.names if each.name not in GONE or (each.asname or each.name) in self._used]
        if len(kept) < len(node.names):
            self._edits.keep_names(node, kept)

    def _mend_call(self, call: ast.Call, name: str) -> None:
        is_listed = bool(call.args) and (name in self._mends or name in ADDED)
        is_known = is_listed and ("." in name or self._edits.is_free(name))
        if is_known and name in self._mends:
            self._mends[name](call)
        if is_known and name in ADDED:
            count, argument, value = ADDED[name]
            if len(call.args) <= count and argument not in {each.arg for each in call.keywords}:
                self._edits.insert_argument(call, f"{argument}={value}")
        elif last_name(call) == "translate" and len(call.args) == 2 and _is_none(call.args[0]):
            spans = [self._edits.span(each) for each in call.args]
            self._edits.replace(spans[0][0], spans[1][0], 'str.maketrans("", "", ')
            self._edits.wrap(call.args[1], "", ")")

    def _mend_hmac(self, call: ast.Call) -> None:
        for each in [*call.args[:2], *(each.value for each in call.keywords if each.arg in ("key", "msg"))]:
            as_bytes(each, self._edits)

    def _mend_argspec(self, call: ast.Call) -> None:
        if not isinstance(self._edits.parents[call], ast.Attribute):
            self._edits.wrap(call, "", "[:4]")

    def _mend_print(self, call: ast.Call) -> None:
        """Remove the second pair of parentheses, which fissix adds to `print ("%s" % x)`."""
        start, end = self._edits.span(call.args[0])
        lead, rest = self._edits.span(call.func)[1], self._edits.span(call)[1]
        if (self._edits.text[lead:start], self._edits.text[end:rest]) == ("((", "))"):
            self._edits.replace(lead, start, "(")
            self._edits.replace(end, rest, ")")

    def _mend_map(self, call: ast.Call) -> None:
        edits = self._edits
        if _is_none(call.args[0]) and len(call.args) > 1:
            is_zip = len(call.args) > 2
            made = f"list({edits.import_name('itertools', 'zip_longest')}(" if is_zip else "list("
            edits.replace(edits.span(call)[0], edits.span(call.args[1])[0], made)
            edits.wrap(call, "", ")" if is_zip else "")

    def _mend_list(self, call: ast.Call) -> None:
        """Correct `list(*rows)`, which fissix writes for `map(None, *rows)`."""
        if len(call.args) == 1 and isinstance(call.args[0], ast.Starred):
            self._edits.call("itertools.zip_longest", call.args[0])

    def _mend_next(self, call: ast.Call) -> None:
        """Restore `.next()` of a `Pagination`, which fissix mistakes for an iterator."""
        start, end = self._edits.span(call.args[0])
        if len(call.args) == 1 and ".paginate(" in self._edits.value_of(call.args[0]):
            self._edits.replace(self._edits.span(call)[0], start, "")
            self._edits.replace(end, self._edits.span(call)[1], ".next()")

    def _mend_json(self, call: ast.Call) -> None:
        """Remove `encoding=`, which Python 3 lacks; bytes in an encoding other than UTF-8 are decoded."""
        name = self._edits.full_name(call.func)
        arguments: list[ast.keyword | ast.expr] = [each for each in call.keywords if each.arg == "encoding"]
        arguments += call.args[1:2] if "load" in name else []
        for each in arguments[:1]:
            value = each.value if isinstance(each, ast.keyword) else each
            codec = str(value.value).lower() if isinstance(value, ast.Constant) else "?"
            if codec in UTF8 or name != "json.load":
                self._edits.remove_argument(call, each)
            if codec not in UTF8 and name == "json.loads":
                self._edits.wrap(call.args[0], "", f".decode({self._edits.source(value)})")


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
