"""Position of the code in a template, by the rules of each engine: Tornado, Mako, Jinja2."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torngas_aio.cli.port.python2 import STRING

__all__ = ["AROUND", "Part", "code_end", "engine_of", "parts_of"]

SUFFIXES = {".mako": "mako", ".mak": "mako", ".jinja": "jinja2", ".jinja2": "jinja2", ".j2": "jinja2"}
SIGNS = {
    "mako": r"<%!?\s|</?%(?:inherit|block|def|namespace|page|include|call|text|doc)\b|(?m:^\s*%\s*(?:if|for|end\w+)\b)",
    "tornado": r"\{%\s*(?:end|apply\b[^%]*|module\b[^%]*)\s*%\}",
    "jinja2": r"\{%[-+]?\s*(?:end\w+|macro|call|filter|with|do|trans)\b|\{[{%]-|-[}%]\}",
}
"""Engine: syntax that only its templates have; tried in this order."""

STEP = re.compile(rf"{STRING}|\#[^\n]*|(?s:.)")
TORNADO = re.compile(r"\{(?:\{(?!\{)|[%#])!?")
MAKO = re.compile(
    r"<%doc>(?s:.*?)</%doc>|<%text\b[^>]*>(?s:.*?)</%text>|(?P<block><%!?(?=\s))|(?P<expression>\$\{)"
    r"|(?m:^[ \t]*(?:(?P<comment>\#\#.*$)|%(?!%)[ \t]*(?P<line>(?:\\\n|.)*)$))"
)
CONTROL = re.compile(r"(?:el)?(?P<code>(?:if|for|while|with|except)\b(?s:.*))")
JINJA2_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}(?s:.*?)\{%[-+]?\s*endraw\s*[-+]?%\}|\{\#(?s:.*?)\#\}|\{[{%][-+]?")
AROUND = {
    "expression": ("__it__ = (", ")"), "statement": ("", ""), "block": ("", ""), "header": ("", ": pass"),
    "except": ("try: pass\n", ": pass"),
}  # fmt: skip
"""Form of a part: the text before and after it that makes it a statement."""


@dataclass(frozen=True, slots=True)
class Part:
    """Code in a template: an expression or statement from *start* to *end*, without its delimiters.

    Attributes:
        form: A key of `AROUND`.
        tag: Start and end of the tag or line.
    """

    start: int
    end: int
    form: str
    tag: tuple[int, int]


def engine_of(text: str, suffix: str, default: str = "tornado") -> str:
    """Return the engine of a template: "tornado", "mako" or "jinja2"; *default* if the text fits none."""
    found = (engine for engine, signs in SIGNS.items() if re.search(signs, text))
    return SUFFIXES.get(suffix) or next(found, default)


def parts_of(text: str, engine: str) -> Iterator[Part]:
    """Yield the code in the template *text*, from top to bottom, without surrounding white space."""
    finder = {"tornado": _tornado_parts, "mako": _mako_parts, "jinja2": _jinja2_parts}[engine]
    for part in finder(text):
        code = text[part.start : part.end]
        start = part.start + len(code) - len(code.lstrip()) if part.form != "block" else part.start
        if code.strip():
            yield replace(part, start=start, end=start + len(text[start : part.end].rstrip()))


def _tornado_parts(text: str) -> Iterator[Part]:
    """Parse as Tornado does: of several `{` the last two count, `{{!` is text, a tag ends at the first `}}` or `%}`."""
    at = 0
    while found := TORNADO.search(text, at):
        start, inner = found.start(), found.end()
        close = {"{{": "}}", "{%": "%}", "{#": "#}"}.get(found.group())
        if close is None:  # {{! and its siblings are text
            at = inner
            continue
        end = text.find(close, inner)
        if end < 0:
            return
        at = end + 2
        if close == "}}":
            yield Part(inner, end, "expression", (start, at))
        elif close == "%}":
            yield from _tornado_statement(text, inner, end, (start, at))


def _tornado_statement(text: str, start: int, end: int, tag: tuple[int, int]) -> Iterator[Part]:
    word = re.compile(r"\s*(\w+)\s*").match(text, start, end)
    name = word[1] if word else ""
    if word and name in ("raw", "module", "apply"):
        yield Part(word.end(), end, "expression", tag)
    elif word and name == "set":
        yield Part(word.end(), end, "statement", tag)
    elif name in ("import", "from"):
        yield Part(start, end, "statement", tag)
    else:
        yield from _control(text, start, end, tag)


def _control(text: str, start: int, end: int, tag: tuple[int, int]) -> Iterator[Part]:
    """Yield the part of an `if`, `elif`, `for` or the like between *start* and *end*; nothing for other words."""
    code = text[start:end]
    found = CONTROL.match(code, len(code) - len(code.lstrip()))
    if found is not None:
        form = "except" if found["code"].startswith("except") else "header"
        yield Part(start + found.start("code"), start + found.end("code"), form, tag)


def _mako_parts(text: str) -> Iterator[Part]:
    at = 0
    while found := MAKO.search(text, at):
        start, at = found.start(), max(found.end(), found.start() + 1)
        if found["block"] or found["expression"]:
            is_block = bool(found["block"])
            end = code_end(text, found.end(), ("%>",) if is_block else ("|", "}"), is_nested=not is_block)
            close = text.find("%>" if is_block else "}", end)
            if close < 0:
                return
            at = close + (2 if is_block else 1)
            yield Part(found.end(), end, "block" if is_block else "expression", (start, at))
        elif found["line"] and (line := re.match(r"((?s:.*)):[ \t]*(?:\#.*)?$", found["line"])):
            yield from _control(text, found.start("line"), found.start("line") + line.end(1), (start, found.end()))


def _jinja2_parts(text: str) -> Iterator[Part]:
    at = 0
    while found := JINJA2_RAW.search(text, at):
        at = found.end()
        if len(found.group()) > len("{%-") or found.group()[1] == "#":
            continue
        close = "}}" if found.group()[1] == "{" else "%}"
        end = code_end(text, at, (close, f"-{close}", f"+{close}"), is_nested=True, has_comments=False)
        yield Part(at, end, "expression", (found.start(), end))
        at = end


def code_end(text: str, at: int, stops: tuple[str, ...], *, is_nested: bool, has_comments: bool = True) -> int:
    """Return the end of the code from *at*: one of *stops* outside of strings and, if *is_nested*, of brackets."""
    depth = 0
    while at < len(text):
        if depth == 0 and text.startswith(stops, at):
            return at
        step = STEP.match(text, at)
        assert step is not None
        found = step.group() if has_comments or text[at] != "#" else "#"
        depth += is_nested and ((found in "([{") - (found in ")]}"))
        at += len(found)
    return at
