"""Conversion of Python 2 code in templates of Tornado, Mako and Jinja2, and findings for the rest.

    template ─► parts (by each engine's rules) ─► one Python text ─► `python2.convert_source` ─► back to their positions

Text outside of expressions and statements is never changed. Jinja2 has its own expression language, in which only
methods of dictionaries and codecs are changed.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from torngas_aio.cli.port.edits import Edits
from torngas_aio.cli.port.findings import MARKS, Finding
from torngas_aio.cli.port.library import GIVEN_METHODS
from torngas_aio.cli.port.parts import AROUND, Part, code_end, parts_of
from torngas_aio.cli.port.python2 import MODULES, STRING, convert_source, parse
from torngas_aio.cli.port.syntax import deferred_around, last_name, nodes_of
from torngas_aio.cli.port.texts import is_odd_codec

__all__ = ["await_calls", "convert", "find_in_template", "reads_as_python2"]

COPY = re.compile(r"(\bin |\biter\()list\(((?:[\w.]|\[[^\[\]]*\]|\([^()]*\))+\.(?:keys|values|items)\(\))\)")
METHODS = r"\.(?:iter|view)(?:items|keys|values)\s*\(|\.has_key\s*\("
PYTHON2 = re.compile(
    rf"{METHODS}|\bbasestring\b|<>|`|\bexcept\s+[\w.]+\s*,|^\s*print\s+[^\s(=]"
    r"|(?<![\w.])(?:xrange|unicode|unichr|long|raw_input|cmp|imap|izip|ifilter)\s*\(|\burllib\.(?:quote|unquote|urlencode|urlopen)"
    rf"|\b(?:import|from)\s+(?:{'|'.join(sorted(MODULES))})\b",
    re.MULTILINE,
)
NO_BUILTIN = re.compile(r"(?<![\w.])(?:long|file)\b(?!\s*\()|(?<=\.)(?:unicode|unichr)\b")
"""Builtins of Python 2 that are as likely variables of the template."""

WAITS = re.compile(
    r"\.Q\.|\bcaches?(?:\[[^\]]*\])?\.(?:get|set|get_many|has_key|incr)\(|\.session\.query\(|\.(?:first|paginate)\("
)
AWAITED = re.compile(r"\bawait(?:ed\()?[\w. ]+\(")


def reads_as_python2(text: str, engine: str) -> bool:
    """Whether the template has code that only Python 2 accepts."""
    return any(_is_python2(text[part.start : part.end], engine) for part in parts_of(text, engine))


def convert(text: str, engine: str, path: str) -> tuple[str, list[Finding]]:
    """Return the template with its code in Python 3, and a finding for the first Python 2 code left.

    Args:
        text: A template of a Python 2 project.
        engine: "tornado", "mako" or "jinja2".
        path: The template's path in findings.
    """
    made = _convert_jinja2(text) if engine == "jinja2" else _convert_python(text, engine)
    for part in parts_of(made, engine):
        code = made[part.start : part.end]
        if _is_python2(code, engine):
            advice = f"`{_short(code)}` is Python 2, and could not be converted."
            return made, [Finding(path, made.count("\n", 0, part.start) + 1, "TGM101", advice)]
    return made, []


def await_calls(text: str, engine: str, names: frozenset[str]) -> str:
    """Return the template with its calls of *names*, coroutine functions of the project, awaited.

    Jinja2 templates stay as they are: Jinja2 awaits calls itself if `enable_async` is set, and cannot otherwise.
    """
    before, after = {"tornado": ("(await ", ")"), "mako": ("awaited(", ")"), "jinja2": ("", "")}[engine]
    edits = Edits(text)
    for part in parts_of(text, engine) if before else ():
        source = _source(text, part)
        tree = parse(source) if part.form in ("expression", "header") else None
        if tree is None or not names & set(re.findall(r"\w+(?=\()", source)):
            continue
        inner = Edits(source, tree)
        for node in inner.nodes:
            around = inner.parents[node]
            is_awaited = isinstance(around, ast.Await) or last_name(around) == "awaited"
            if last_name(node) in names and not is_awaited and not [*deferred_around(node, inner.parents)]:
                inner.wrap(node, before, after)
        _put(edits, part, inner.apply(), engine)
    return edits.apply()


def find_in_template(text: str, engine: str, path: str, names: frozenset[str]) -> Iterator[Finding]:
    """Yield the findings in a template; *names* must be awaited if called, those with a leading dot if read."""
    lines = defaultdict[str, list[int]](list)
    for number, content in enumerate(text.split("\n"), 1) if "TGM311:" in text else ():
        if re.search(r"(?:\{#|<%doc>|##|^\s*#) ?TGM311:", content):
            lines["TGM311"].append(number)
    for part in parts_of(text, engine):
        code = text[part.start : part.end]
        bare = AWAITED.sub("", code)
        used: list[str] = re.findall(r"\w+(?=\()", bare) + re.findall(r"\.\w+", bare)
        called = next((name for name in used if name in names), "")
        found = WAITS.search(bare)
        if found or called:
            at = part.start + max(code.find(found.group() if found else called), 0)
            advice = f"`{_short(code)}` waits. Pass the value to render(), or await it there."
            yield Finding(path, text.count("\n", 0, at) + 1, "TGM204", advice)
        tree = parse(f"({code})") if ".encode" in code or ".decode" in code else None
        if tree and any(map(is_odd_codec, nodes_of(tree, ast.Call))):
            lines["TGM310"].append(text.count("\n", 0, part.start) + 1)
    advices = {"TGM310": "This is not a text encoding in Python 3: use its module, or `codecs`.", **MARKS}
    for code, numbers in lines.items():
        more = f" (lines {', '.join(map(str, numbers))})" if len(numbers) > 1 else ""
        yield Finding(path, numbers[0], code, f"{advices[code]}{more}")


def _is_python2(code: str, engine: str) -> bool:
    return re.search(METHODS if engine == "jinja2" else PYTHON2, re.sub(STRING, "''", code)) is not None


def _short(code: str) -> str:
    return " ".join(code.split())[:60]


def _convert_jinja2(text: str) -> str:
    edits = Edits(text)
    for part in parts_of(text, "jinja2"):
        code = text[part.start : part.end]
        bare = re.sub(STRING, lambda found: "_" * len(found.group()), code)
        for found in re.finditer(r"\.(\w+)(?=\()", bare):
            start, end = part.start + found.start(), part.start + found.end()
            close = code_end(code, found.end() + 1, (")",), is_nested=True, has_comments=False)
            inner = code[found.end() + 1 : close].strip()
            if found[1] in GIVEN_METHODS:
                edits.replace(start + 1, end, GIVEN_METHODS[found[1]])
            elif found[1] in ("encode", "decode") and re.fullmatch(r"""['"]utf-?8['"]""", inner, re.IGNORECASE):
                edits.replace(start, part.start + close + 1, "")
    return edits.apply()


def _convert_python(text: str, engine: str) -> str:
    parts = [part for part in parts_of(text, engine) if engine == "mako" or "cmp(" not in text[part.start : part.end]]
    sources = {part: _source(text, part) for part in parts}
    made = _convert_all(sources)
    if made is None:  # leave out the parts that cannot be parsed
        sources = {part: source for part, source in sources.items() if _convert_all({part: source}) is not None}
        made = _convert_all(sources)
    if made is None:
        return text
    head, news = made
    edits = Edits(text)
    users: list[Part] = []
    for part, (source, new) in zip(sources, zip(sources.values(), news, strict=True), strict=True):
        if new != source:
            _put(edits, part, new, engine)
            users += [part] if any(re.search(rf"\b{name}\b", new) for name in _names_of(head)) else []
    if head and engine == "mako":
        edits.replace(0, 0, f"<%!\n{head}%>\n" if "\n" in head.rstrip() else f"<%! {head.rstrip()} %>\n")
    elif head:
        tags = "".join(f"{{% {line} %}}" for line in head.splitlines())
        for at in sorted({_block_start(text, part.start) for part in users}):
            edits.replace(at, at, tags)
    return edits.apply()


def _source(text: str, part: Part) -> str:
    code = text[part.start : part.end]
    if part.form == "block":
        lines = code.lstrip("\n").splitlines()
        indent = _indent_of(next((line for line in lines if line.strip()), ""))
        code = "\n".join(line.removeprefix(indent) for line in lines)
    elif "isinstance" not in code:
        code = NO_BUILTIN.sub(r"__own__\g<0>", code)
    before, after = AROUND[part.form]
    return f"{before}{code}{after}\n"


def _indent_of(code: str) -> str:
    return code[: len(code) - len(code.lstrip(" \t"))]


def _convert_all(sources: dict[Part, str]) -> tuple[str, list[str]] | None:
    """Return the imports that the converted *sources* need, and the sources; None if one cannot be parsed."""
    text = "".join(f"__part__{number}\n{source}" for number, source in enumerate(sources.values()))
    made = convert_source(f"import __part__\n{text}__part__\n")
    if made is None:
        return None
    head, *news = re.split(r"(?m)^__part__(?:\d+\n|$)", made)
    return head.replace("import __part__\n", "").lstrip("\n"), news[:-1]


def _put(edits: Edits, part: Part, new: str, engine: str) -> None:
    """Replace *part* by the converted statements *new*; their comments move next to the tag."""
    if part.form == "block":
        code = edits.text[part.start : part.end]
        lead = code[: len(code) - len(code.lstrip("\n"))]
        indent = _indent_of(code[len(lead) :])
        lines = [f"{indent}{line}" if line else "" for line in new.rstrip("\n").split("\n")]
        edits.replace(part.start, part.end, lead + "\n".join(lines))
        return
    before, after = AROUND[part.form]
    lines = new.rstrip("\n").split("\n")
    marks = [line[2:] for line in lines if line.startswith("# TGM311:")]
    code = "\n".join(line for line in lines if line[2:] not in marks).replace("__own__", "")
    if not code.startswith(before) or not code.endswith(after):
        return
    code = code.removeprefix(before).removesuffix(after)
    if "list(" not in edits.text[part.start : part.end]:
        code = COPY.sub(r"\1\2", code)  # a template does not change a dictionary while iterating it
    if code.startswith(("import ", "from ")):
        code = code.replace("\n", " %}{% ")
    start, end = part.tag
    if not code:
        edits.replace(start, end, "")
    elif code != edits.text[part.start : part.end]:
        edits.replace(part.start, part.end, code)
    is_line = edits.text[start] != "$"
    notes = [
        f"{{# {mark} #}}" if engine == "tornado" else f"## {mark}\n" if is_line else f"<%doc>{mark}</%doc>"
        for mark in marks
    ]
    note = "".join(notes)
    if engine == "tornado":
        edits.replace(end, end, "" if edits.text.startswith(note, end) else note)
    else:
        edits.replace(start, start, "" if edits.text.endswith(note, 0, start) else note)


def _names_of(head: str) -> list[str]:
    nodes = ast.walk(ast.parse(head))
    return [each.asname or each.name for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names]


def _block_start(text: str, at: int) -> int:
    """Return the end of the last `{% block %}` tag before *at*, or 0: child templates run nothing outside of blocks."""
    blocks = [found.end() for found in re.finditer(r"\{%\s*block\b[^%]*%\}", text[:at])]
    return blocks[-1] if blocks else 0
