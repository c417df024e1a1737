r"""Names and functions of the standard library that Python 3 has removed or changed: edits of a Python 2 project.

import md5; md5.new(x)      hashlib.md5(x)
json.loads(x, encoding=...) json.loads(x)
def __cmp__                 @total_ordering, __eq__ and __lt__ that ask it
pickle.load(open(path))     pickle.load(open(path, "rb"))
buf[0] == '\0'              buf[0:1] == b'\0', where struct.unpack takes buf

Begin with `mend_library`.
"""

import ast
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torngas_aio.cli.port.edits import Edits, FunctionNode, binds, dotted, last_name, parents_of
from torngas_aio.cli.port.texts import CODECS, UTF8, codec_of, is_bytes, is_odd_codec

__all__ = ["ESCAPES", "mend_library"]

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
    "types.NoneType": "type(None)", "types.StringTypes": "str",
}  # fmt: skip
"""Dotted names that Python 3 lacks, and those that take their place."""

GONE = {"cgi", "md5", "sets", "sha"}
"""Modules that Python 3 lacks, or 3.13 does."""

ESCAPES = {"string_escape", "string-escape"}
"""Codecs that have none in their place."""

METHODS = {"__div__": "__truediv__", "__idiv__": "__itruediv__", "__rdiv__": "__rtruediv__"}
JSON = {"json.dump", "json.dumps", "json.load", "json.loads"}
PICKLES = {"pickle.dump", "pickle.load", "pickle.Pickler", "pickle.Unpickler", "marshal.dump", "marshal.load"}
TAKES_BYTES = {"pickle.loads", "marshal.loads", "struct.unpack", "hashlib.md5", "hashlib.sha1", "base64.b64encode"}
CSV = {"csv.reader", "csv.writer", "csv.DictReader", "csv.DictWriter"}
NEUTRAL = {"close", "flush", "seek", "tell", "fileno", "flock", "lockf", "name", "closed"}
"""What is done with a file, whether it is one of text or bytes."""

TEXT_METHODS = {name for name in dir(str) if name[0] != "_"} - {"encode"}


def mend_library(edits: Edits) -> None:
    """Write into *edits* what the file, made Python 3 already, needs of its library; run it to a fixpoint."""
    _Mender(edits).run()


class _Mender:
    def __init__(self, edits: Edits) -> None:
        self._edits = edits
        self._parents = parents_of(edits.tree)
        self._nodes = list(self._parents)
        self._mends = {
            **dict.fromkeys(JSON, self._mend_json), "cgi.escape": self._mend_escape, "file": self._mend_open,
            "hmac.new": self._mend_hmac, "inspect.getargspec": self._mend_argspec, "map": self._mend_map,
            "next": self._mend_next, "pickle.load": self._mend_pickle, "pickle.loads": self._mend_pickle,
            "open": self._mend_open, "struct.pack": self._mend_packed,
            "struct.unpack": self._mend_unpacked,
        }  # fmt: skip
        self._unpacked: set[tuple[ast.AST, str]] = set()
        self._used = {each.id for each in self._nodes if isinstance(each, ast.Name)}
        self._imports: dict[str, str] = {}
        for node in [each for each in self._nodes if isinstance(each, ast.Import | ast.ImportFrom)]:
            for each in node.names:
                if isinstance(node, ast.ImportFrom):
                    self._imports[each.asname or each.name] = f"{node.module}.{each.name}"
                else:
                    root = each.name.partition(".")[0]
                    self._imports[each.asname or root] = each.name if each.asname else root

    def run(self) -> None:
        for node in reversed(self._nodes):
            if isinstance(node, ast.Call):
                self._mend_call(node, self._full_name(node.func))
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                self._mend_name(node)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                self._mend_import_from(node)
            elif isinstance(node, ast.Import):
                self._mend_import(node)
            elif isinstance(node, ast.ClassDef):
                self._mend_methods(node)
            elif isinstance(node, ast.Subscript) and self._is_upload(node) and self._is_read_as_text(node):
                self._edits.wrap(node, f"{self._edits.imported('tornado.escape', 'to_unicode')}(", ")")

    def _full_name(self, node: ast.AST) -> str:
        """Return the dotted name of *node* with its module; a bare name that nothing imports may be a builtin."""
        root, dot, rest = dotted(node).partition(".")
        return f"{self._imports[root]}{dot}{rest}" if root in self._imports else "" if dot else root

    def _mend_methods(self, kind: ast.ClassDef) -> None:
        methods = {node.name: node for node in kind.body if isinstance(node, FunctionNode)}
        for name, node in methods.items():
            if (new := METHODS.get(name)) and not binds(kind, new):
                start = self._edits.text.index("__", self._edits.span(node)[0])
                self._edits.replace(start, self._edits.text.index("(", start), new)
        if "__getslice__" in methods and "__getslice__(*" not in self._edits.source(kind):
            self._add_slices(kind, methods)

    def _add_slices(self, kind: ast.ClassDef, methods: dict[str, Any]) -> None:
        """Have `__getitem__`, which Python 3 gives slices, call `__getslice__`."""
        has_length = "__len__" in methods or {dotted(each) for each in kind.bases} - {"object"}
        length = "len(self)" if has_length else f"{self._edits.imported('sys')}.maxsize"
        getter = methods.get("__getitem__")
        below = getter or methods["__getslice__"]
        index = below.args.args[1].arg if getter else "index"
        given = f"return self.__getslice__(*{index}.indices({length})[:2])\n"
        first = below.body[0] if getter else below
        indent = " " * first.col_offset
        start = self._edits.span(first.decorator_list[0] if getattr(first, "decorator_list", ()) else first)[0]
        if getter:
            text = f"if isinstance({index}, slice):\n{indent}    {given}{indent}"
        else:
            text = f"def __getitem__(self, index):\n{indent}    {given}\n{indent}"
        self._edits.replace(start, start, text)

        compare = next((node for node in kind.body if isinstance(node, FunctionNode) and node.name == "__cmp__"), None)
        if compare is not None and not binds(kind, "__lt__"):
            self._mend_order(kind, compare)

    def _mend_order(self, kind: ast.ClassDef, compare: FunctionNode) -> None:
        """Have the comparisons of Python 3 ask `__cmp__`."""
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
        decorator = self._edits.imported("functools", "total_ordering")
        self._edits.replace(start, start, f"@{decorator}\n{' ' * kind.col_offset}")

    def _mend_name(self, node: ast.Name | ast.Attribute) -> None:
        new = RENAMED.get(self._full_name(node))
        if new is None or (isinstance(node, ast.Name) and ("." in new or not self._is_free(node.id))):
            return  # the import of a bare name is changed, and gives it the same name
        module, dot, name = new.rpartition(".")
        is_of_module = dot and module not in ("str", "string")
        self._edits.replace(*self._edits.span(node), f"{self._edits.imported(module)}.{name}" if is_of_module else new)

    def _is_free(self, name: str) -> bool:
        """Whether *name* is imported, or a builtin that the file does not hide."""
        return name in self._imports or not binds(self._edits.tree, name)

    def _mend_import_from(self, node: ast.ImportFrom) -> None:
        """Import names from where they are now; a builtin needs no import once nothing uses the name."""
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
        if call.args and name in self._mends and ("." in name or self._is_free(name)):
            self._mends[name](call)
        elif is_odd_codec(call) and codec_of(call) not in ESCAPES and isinstance(call.func, ast.Attribute):
            self._mend_codec(call, call.func.value)
        elif last_name(call) == "translate" and len(call.args) == 2 and _is_none(call.args[0]):
            spans = [self._edits.span(each) for each in call.args]
            self._edits.replace(spans[0][0], spans[1][0], 'str.maketrans("", "", ')
            self._edits.wrap(call.args[1], "", ")")
        elif last_name(call) in ("read_until", "read_until_regex") and call.args and _is_ascii(call.args[0]):
            self._edits.wrap(call.args[0], "b", "")
        elif dotted(call.func).lower().endswith("stream.write") and call.args and not is_bytes(call.args[0]):
            self._edits.wrap(call.args[0], f"{self._edits.imported('tornado.escape', 'utf8')}(", ")")

    def _mend_codec(self, call: ast.Call, value: ast.expr) -> None:
        """Ask `codecs` for what is no encoding of text; it takes and gives bytes."""
        edits, codec, is_encoding = self._edits, codec_of(call), last_name(call) == "encode"
        is_text = codec == "rot13"
        head = "" if is_text or is_bytes(value) else f"{edits.imported('tornado.escape', 'utf8')}("
        is_read = (is_encoding and codec in ("hex", "base64")) or self._is_read_as_text(call)
        maker = f"{edits.imported('tornado.escape', 'to_unicode')}(" if is_read and not is_text else ""
        edits.wrap(value, f"{maker}{edits.imported('codecs')}.{last_name(call)}({head}", "")
        end = f"{')' if head else ''}, {codec!r}){')' if maker else ''}"
        edits.replace(edits.span(value)[1], edits.span(call)[1], end)

    def _mend_hmac(self, call: ast.Call) -> None:
        for each in call.args[:2]:
            if not is_bytes(each):
                self._edits.wrap(each, f"{self._edits.imported('tornado.escape', 'utf8')}(", ")")
        if len(call.args) < 3 and "digestmod" not in {each.arg for each in call.keywords}:
            self._edits.insert_argument(call, 'digestmod="md5"')

    def _mend_pickle(self, call: ast.Call) -> None:
        """Read the texts in pickles that Python 2 has written."""
        if "encoding" not in {each.arg for each in call.keywords}:
            self._edits.insert_argument(call, 'encoding="utf-8"')

    def _mend_escape(self, call: ast.Call) -> None:
        if len(call.args) == 1 and not call.keywords:
            self._edits.insert_argument(call, "quote=False")

    def _mend_argspec(self, call: ast.Call) -> None:
        if not isinstance(self._parents[call], ast.Attribute):
            self._edits.wrap(call, "", "[:4]")

    def _mend_map(self, call: ast.Call) -> None:
        edits = self._edits
        if _is_none(call.args[0]) and len(call.args) > 1:
            is_zip = len(call.args) > 2
            made = f"list({edits.imported('itertools', 'zip_longest')}(" if is_zip else "list("
            edits.replace(edits.span(call)[0], edits.span(call.args[1])[0], made)
            edits.wrap(call, "", ")" if is_zip else "")

    def _mend_next(self, call: ast.Call) -> None:
        """Have the next page of a `Pagination` by its own method; what fissix writes is for iterators."""
        start, end = self._edits.span(call.args[0])
        if len(call.args) == 1 and ".paginate(" in self._value_of(call.args[0]):
            self._edits.replace(self._edits.span(call)[0], start, "")
            self._edits.replace(end, self._edits.span(call)[1], ".next()")

    def _mend_json(self, call: ast.Call) -> None:
        """Take `encoding=` away; text has none. Bytes in another encoding are decoded."""
        name = self._full_name(call.func)
        arguments: list[ast.keyword | ast.expr] = [each for each in call.keywords if each.arg == "encoding"]
        arguments += call.args[1:2] if "load" in name else []
        for each in arguments[:1]:
            value = each.value if isinstance(each, ast.keyword) else each
            codec = str(value.value).lower() if isinstance(value, ast.Constant) else "?"
            if codec in UTF8 or name != "json.load":
                self._edits.remove_argument(call, each)
            if codec not in UTF8 and name == "json.loads":
                self._edits.wrap(call.args[0], "", f".decode({self._edits.source(value)})")

    def _mend_open(self, call: ast.Call) -> None:
        """Open for bytes a file that is used for bytes only, and for text one that `csv` reads or writes."""
        keywords = {each.arg: each.value for each in call.keywords}
        mode = keywords.pop("mode", [*call.args, None, None][1])
        value = mode.value if isinstance(mode, ast.Constant) else "" if mode is None else None
        if keywords or not call.args or not isinstance(value, str):
            return
        loads = self._loads_of(call)
        if "b" in value:
            parents = [self._parents[each] for each in loads]
            if any(isinstance(each, ast.Call) and self._full_name(each.func) in CSV for each in parents):
                self._edits.replace(*self._edits.span(mode), repr(value.replace("b", "")))
                self._edits.insert_argument(call, 'newline=""')
            return
        uses = {self._is_use_of_bytes(each) for each in loads}
        if True not in uses or False in uses:
            for each in loads:
                self._write_text(each)
        elif mode is not None:
            end = self._edits.span(mode)[1] - 1
            self._edits.replace(end, end, "b")
        else:
            self._edits.wrap(call.args[0], "", ', "rb"')

    def _write_text(self, file: ast.AST) -> None:
        """Write text as it is where *file*, which is open for text, writes it as UTF-8."""
        method = self._parents[file]
        call = self._parents[method]
        if not isinstance(method, ast.Attribute) or method.attr != "write" or not isinstance(call, ast.Call):
            return
        for each in call.args:
            is_encoded = isinstance(each, ast.Call) and last_name(each) == "encode" and codec_of(each) in UTF8
            if is_encoded and isinstance(each.func, ast.Attribute):  # type: ignore[attr-defined]
                owner = each.func.value  # type: ignore[attr-defined]
                self._edits.replace(self._edits.span(owner)[1], self._edits.span(each)[1], "")

    def _loads_of(self, call: ast.Call) -> list[ast.AST]:
        """Return where what *call* returns is used: the call itself, or the loads of the name that it is given."""
        parent = self._parents[call]
        target = parent.optional_vars if isinstance(parent, ast.withitem) else None
        target = parent.targets[0] if isinstance(parent, ast.Assign) else target
        return _loads(self._scope_of(call), target.id) if isinstance(target, ast.Name) else [call]

    def _is_use_of_bytes(self, node: ast.AST) -> bool | None:
        """Whether the file *node* is used for bytes; None where text or bytes would do."""
        parent = self._parents[node]
        if isinstance(parent, ast.Call):
            return self._full_name(parent.func) in PICKLES or (None if last_name(parent) in NEUTRAL else False)
        if isinstance(parent, ast.For) and isinstance(parent.target, ast.Name):
            loads, begin = _loads(parent, parent.target.id), parent.body[0]
            is_all = len(loads) == 1 or binds(begin, parent.target.id)
            return bool(loads) and is_all and loads[0] in ast.walk(begin) and self._is_decoded(loads[0])
        call = self._parents.get(parent)
        if isinstance(parent, ast.Attribute) and isinstance(call, ast.Call) and parent.attr == "write":
            return bool(call.args) and self._is_written_as_bytes(call.args[0])
        if isinstance(parent, ast.Attribute) and isinstance(call, ast.Call) and parent.attr in ("read", "readline"):
            outer = self._parents[call]
            is_given = isinstance(outer, ast.Call) and self._full_name(outer.func) in TAKES_BYTES
            return is_given or self._is_decoded(call)
        return None if isinstance(parent, ast.Attribute) and parent.attr in NEUTRAL else False

    def _is_decoded(self, node: ast.AST) -> bool:
        """Whether *node* is decoded from another encoding than UTF-8."""
        parent = self._parents[node]
        call = self._parents[parent] if isinstance(parent, ast.Attribute) and parent.attr == "decode" else None
        return isinstance(call, ast.Call) and codec_of(call) not in UTF8 | CODECS

    def _is_written_as_bytes(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return last_name(node) == "encode" and codec_of(node) not in UTF8 | CODECS
        return isinstance(node, ast.Subscript) and self._is_upload(node)

    def _is_upload(self, node: ast.Subscript) -> bool:
        is_body = isinstance(node.slice, ast.Constant) and node.slice.value == "body"
        return is_body and "request.files" in self._value_of(node.value)

    def _is_read_as_text(self, node: ast.AST) -> bool:
        parent = self._parents[node]
        return isinstance(parent, ast.Attribute) and parent.attr in TEXT_METHODS

    def _mend_packed(self, call: ast.Call) -> None:
        """Add bytes to what *call* packs, and have it pack their number, not that of characters."""
        node: ast.AST = call
        while isinstance(self._parents[node], ast.BinOp):
            node = self._parents[node]
        texts = {self._edits.source(each): each for each in _summands(node) if not (is_bytes(each) or each is call)}
        lengths = [each for argument in call.args[1:] for each in ast.walk(argument) if isinstance(each, ast.Call)]
        counted = [each.args[0] for each in lengths if dotted(each.func) == "len" and each.args]
        known = [each for each in counted if self._edits.source(each) in texts]
        if known or all(isinstance(each, ast.Constant) for each in call.args):
            for each in [*texts.values(), *known]:
                self._edits.wrap(each, f"{self._edits.imported('tornado.escape', 'utf8')}(", ")")

    def _mend_unpacked(self, call: ast.Call) -> None:
        """Read as bytes, in the function of *call*, the name that it unpacks."""
        edits, scope, given = self._edits, self._scope_of(call), call.args[-1]
        name = dotted(given.value if isinstance(given, ast.Subscript) else given)
        loads = [] if (scope, name) in self._unpacked else _loads(scope, name)
        self._unpacked.add((scope, name))
        for node in loads:
            parent = self._parents[node]
            part, index = (parent, parent.slice) if isinstance(parent, ast.Subscript) else (node, None)
            outer = self._parents[part]
            is_one = index is not None and not isinstance(index, ast.Slice)
            if isinstance(outer, ast.Compare) and (not is_one or isinstance(index, ast.Constant)):
                for each in [each for each in [outer.left, *outer.comparators] if _is_ascii(each)]:
                    edits.wrap(each, "b", "")
                    if isinstance(index, ast.Constant) and isinstance(index.value, int):
                        edits.replace(*edits.span(index), f"{index.value}:{index.value + 1}")
            elif is_one and isinstance(outer, ast.Call) and dotted(outer.func) == "ord":
                edits.replace(*edits.span(outer), edits.source(part))
            elif not is_one and self._is_read_as_text(part):
                edits.wrap(part, f"{edits.imported('tornado.escape', 'to_unicode')}(", ")")

    def _value_of(self, node: ast.AST) -> str:
        """Return the source of *node* and, where it is a name, of what its function gives it."""
        found, name = [node], dotted(node)
        for each in ast.walk(self._scope_of(node)) if isinstance(node, ast.Name) else ():
            if isinstance(each, ast.Assign) and name in map(dotted, each.targets):
                found.append(each.value)
            elif isinstance(each, ast.For) and dotted(each.target) == name:
                found.append(each.iter)
        return " ".join(map(ast.unparse, found))

    def _scope_of(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, FunctionNode | ast.Module):
            node = self._parents[node]
        return node


def _loads(tree: ast.AST, name: str) -> list[ast.AST]:
    """Return where *name* is read in *tree*, from top to bottom."""
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.Name) and each.id == name]
    loads = [each for each in nodes if isinstance(each.ctx, ast.Load)]
    loads.sort(key=lambda each: (each.lineno, each.col_offset))
    return [*loads]


def _summands(node: ast.AST) -> Iterator[ast.expr]:
    """Yield what is added up in *node*."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _summands(node.left)
        yield from _summands(node.right)
    elif isinstance(node, ast.expr):
        yield node


def _is_ascii(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isascii()


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
