"""URL tables: patterns and handlers, grouped by app and by file.

    myapp/urls.py
        url = Url("myapp.handlers", theme="dark")
        urls = route(
            url(r"/?", "main.Index", name="index"),
            include(r"/user", "myapp.url_user.URLS", "user"),      names become user-...
        )

The results are Tornado's `URLSpec`s. Handlers given as dotted text are imported when the table is created. Start
with `Url`; `load_app_urls` collects the tables of all apps, and every fault in them.
"""

import contextlib
import contextvars
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from tornado.routing import Matcher, PathMatches, Rule, URLSpec

from torngas_aio._compat.stdlib import frame_above
from torngas_aio._compat.tornado import regex_of
from torngas_aio._names import import_object
from torngas_aio._project_errors import import_fault
from torngas_aio.exception import Fault, UrlError
from torngas_aio.routing.pattern import begins_with_word
from torngas_aio.routing.route import reverse_with_slash
from torngas_aio.utils.narrowing import is_iterable, is_list_or_tuple

__all__ = ["Url", "UrlSpec", "include", "load_app_urls", "route"]

_is_gathering = contextvars.ContextVar("torngas_aio_urls_gathering", default=False)
_GLOBAL_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")
_NUMBERED_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\\[1-9]")
_ENDS_WITH_SLASH = re.compile(r"/\)*[?*+]*\)*$").search
_FLAG_LETTERS = {re.ASCII: "a", re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}


class UrlSpec(URLSpec):
    """A Tornado `URLSpec` with the place of its declaration.

    Attributes:
        repr_pattern: The declared pattern, including the prefixes of `include`.
        place: File and line, such as `myapp/urls.py:7`.
        faults: Why it is invalid; only filled while `load_app_urls` collects, which then refuses the table.
        notes: Sentences about it for `torngas-aio check`.
    """

    def __init__(
        self,
        pattern: str | re.Pattern[str],
        handler: object,
        kwargs: dict[str, object] | None = None,
        name: str | None = None,
        *,
        place: str = "",
        faults: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        cast(Any, super()).__init__(pattern, handler, kwargs, name)  # Tornado's pattern may be one of bytes
        self.repr_pattern = pattern if isinstance(pattern, str) else pattern.pattern.removesuffix("$")
        self.place = place
        self.faults = tuple(faults)
        self.notes = tuple(notes)
        reverse_with_slash(self.matcher)


class Url:
    """A factory for the rules of one table.

    Args:
        prefix: The package of dotted handlers; None for full dotted names.
        overall_kwargs: Included in `self._url_kwargs` of every handler of the table.
    """

    def __init__(self, prefix: str | None = None, **overall_kwargs: object) -> None:
        self.prefix = prefix
        self.overall_kwargs = overall_kwargs

    def __call__(
        self,
        pattern: str | re.Pattern[str],
        handler: object,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> URLSpec:
        """Return one rule.

        Args:
            pattern: A regular expression for the whole path; `$` is added to text that lacks it.
            handler: A handler class, or dotted text under the table's prefix.
            kwargs: Added to the overall ones, over which they take precedence.
            name: For `reverse_url`.

            Raises:
                UrlError: The pattern is not a regular expression, or no handler is found under that name.
        """
        place = _caller()
        faults = _pattern_faults(pattern, place)
        with _collecting(faults):
            handler = self._import_handler(handler, place)
        if faults:
            _refuse(faults)
            return _make_placeholder(name, place, faults)
        return UrlSpec(pattern, handler, {**self.overall_kwargs, **(kwargs or {})}, name, place=place)

    def _import_handler(self, handler: object, place: str) -> object:
        if not isinstance(handler, str):
            return handler
        path = f"{self.prefix}.{handler}" if self.prefix else handler
        found = _import(path, f"{place}: handler {handler!r}", "Correct the name, or the prefix given to Url().")
        if isinstance(found, ModuleType):
            raise UrlError(f"{place}: handler {handler!r} is the module {path!r}. Name a class in it.")
        return found


def route(*specs: object) -> list[Rule]:
    """Return *specs* as one flat list; nested lists, such as those of `include`, are flattened.

    Raises:
        UrlError: Two rules have the same name.
    """
    rules = list(_flat(specs))
    _refuse(_duplicate_names(rules))
    return rules


def include(pattern: str, handlers: str | Iterable[object], prefix_name: str | None = None) -> list[Rule]:
    """Return the rules of *handlers*, each under *pattern* and named `prefix_name-name`.

    Args:
        pattern: Put before each pattern, as a regular expression; its groups become arguments of every handler. If
            *pattern* does not end with a slash and an included one begins with a letter, a digit, `_` or a group of
            these, a slash is inserted: `include("/user", [("list", ...)])` is `/user/list`. `''`, `$`, `/?`,
            `\\.json` and `(?:...)` are appended unchanged.
        handlers: A list of rules, or dotted text that names one.
        prefix_name: Put before each name; None leaves names unchanged.

    Raises:
        UrlError: The list does not exist, or a rule cannot be placed under *pattern*.
    """
    place = _caller()
    faults: list[str] = []
    rules: list[Rule] = []
    with _collecting(faults):
        for rule in _flat(_table(handlers, place)):
            with _collecting(faults):
                rules.append(_add_prefix(pattern, rule, prefix_name, place))
    if faults:
        _refuse(faults)
        rules.append(_make_placeholder(None, place, faults))
    return rules


def load_app_urls(installed_apps: object) -> list[Rule]:
    """Return the rules of every app, in the order of *installed_apps*, a list or tuple of names.

    Each app is a package with a module `urls` that holds a list `urls` (or `URLS`).

    Raises:
        UrlError: Lists every missing app, module, list and handler, every bad pattern and every duplicate name.
    """
    if isinstance(installed_apps, str) or not is_iterable(installed_apps):
        comma = f"; a tuple of one wants a comma: ({installed_apps!r},)" if isinstance(installed_apps, str) else ""
        text = f"INSTALLED_APPS = {installed_apps!r}: must be a list or tuple{comma}."
        raise UrlError(text)
    rules: list[Rule] = []
    faults: list[str] = []
    token = _is_gathering.set(True)
    try:
        for app in installed_apps:
            with _collecting(faults):
                rules.extend(_app_rules(app))
    finally:
        _is_gathering.reset(token)
    faults.extend(fault for rule in rules for fault in getattr(rule, "faults", ()))
    faults.extend(_duplicate_names(rules))
    UrlError.gather(dict.fromkeys(faults))
    return rules


def _app_rules(app: object) -> list[Rule]:
    where = f"INSTALLED_APPS: app {app!r}"
    _import(str(app), where, "Is its folder in the project directory?")
    module = _import(f"{app}.urls", where, "Write that module, with a list `urls`.")
    table = getattr(module, "urls", getattr(module, "URLS", None))
    if not is_list_or_tuple(table):
        found = "has no list `urls`" if table is None else f"has `urls` = {table!r}, which is not a list"
        raise UrlError(f"{where}: {app}.urls {found}. Write `urls = route(...)`.")
    return list(_flat(table))


def _table(handlers: str | Iterable[object], place: str) -> Iterable[object]:
    if not isinstance(handlers, str):
        return handlers
    where = f"{place}: include({handlers!r})"
    found = _import(handlers, where, "Name a list of rules, such as 'myapp.url_user.URLS'.")
    if not is_list_or_tuple(found):
        raise UrlError(f"{where} names {found!r}. Name a list of rules, such as 'myapp.url_user.URLS'.")
    return found


def _flat(specs: Iterable[object]) -> Iterator[Rule]:
    """Yield *specs*, rules or tuples of a rule's arguments, as rules; lists of them are flattened at any depth."""
    for spec in specs:
        if isinstance(spec, Rule):
            yield spec
        elif is_list_or_tuple(spec):
            yield from _open_spec(spec)
        else:
            raise UrlError(f"{_caller()}: {spec!r} is no rule. Write Url()(pattern, handler), or a list of such.")


def _open_spec(spec: Sequence[Any]) -> Iterator[Rule]:
    """Yield the rule with the arguments in *spec*, else the rules in it."""
    first: object = spec[0] if spec else None
    if isinstance(first, str | re.Pattern):
        UrlError.gather(_pattern_faults(spec[0], _caller()))
        yield UrlSpec(*spec, place=_caller())
    elif isinstance(first, Matcher):
        yield Rule(*spec)
    else:
        yield from _flat(spec)


def _add_prefix(opening: str, rule: Rule, prefix_name: str | None, place: str) -> Rule:
    """Return *rule* with *opening* before its pattern."""
    if getattr(rule, "faults", ()):
        return rule
    name = f"{prefix_name}-{rule.name}" if prefix_name and rule.name else rule.name
    if isinstance(rule.matcher, PathMatches):
        pattern, notes = _join(opening, regex_of(rule.matcher), place)
        UrlError.gather(_pattern_faults(pattern, place))
        own_place = getattr(rule, "place", "") or place
        notes = (*getattr(rule, "notes", ()), *notes)
        make = type(rule) if isinstance(rule, UrlSpec) else UrlSpec
        return make(re.compile(pattern), rule.target, rule.target_kwargs, name, place=own_place, notes=notes)
    if is_list_or_tuple(rule.target):
        inner = [_add_prefix(opening, each, prefix_name, place) for each in _flat(rule.target)]
        return Rule(rule.matcher, inner, rule.target_kwargs, name)
    raise UrlError(f"{place}: {rule!r} has no pattern that could stand under {opening!r}. Put it beside the include().")


def _join(opening: str, regex: re.Pattern[str], place: str) -> tuple[str, Sequence[str]]:
    """Return *opening* and the pattern of *regex* as one pattern, and a sentence if a slash was inserted."""
    if opening.endswith("$") and not opening.endswith(r"\$"):
        raise UrlError(f"{place}: include({opening!r}, ...): nothing can follow a `$`. Leave it out.", code="TGA202")
    text = _GLOBAL_FLAGS.sub("", regex.pattern, count=1) if regex.pattern.startswith("(?") else regex.pattern
    text = text.removeprefix("^")
    if opening.endswith("/") and text.startswith("/"):
        text = text[1:]
    if "(" in opening and _NUMBERED_REFERENCE.search(text):
        raise UrlError(
            f"{place}: {text!r} under {opening!r}: numbered references shift. Name the group: (?P=name).", code="TGA202"
        )
    notes: Sequence[str] = ()
    slash = ""
    if not _ENDS_WITH_SLASH(opening) and begins_with_word(text, regex.flags):
        slash = "/"
        shown = text.removesuffix("$")
        what = f"{place}: include({opening!r}, ...) puts a slash before {shown!r}, which 2.0.0 did not."
        notes = [f"{what} Write {'/' + shown!r} in the included table if that is meant."]
    letters = "".join(letter for flag, letter in _FLAG_LETTERS.items() if regex.flags & flag)
    if letters or _has_open_branches(text):
        text = f"(?{letters}:{text}\n)" if "x" in letters else f"(?{letters}:{text})"
    return (f"(?:{opening})" if _has_open_branches(opening) else opening) + slash + text, notes


def _has_open_branches(pattern: str) -> bool:
    """Return whether there is a `|` outside of all groups."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if character == "|" and not depth:
            return True
    return False


def _pattern_faults(pattern: str | re.Pattern[str], place: str) -> list[str]:
    try:
        PathMatches(pattern)
    except re.error as exc:
        return [Fault(f"{place}: pattern {pattern!r} is not a regular expression: {exc}.", code="TGA202")]
    except AssertionError:
        mixed = f"{place}: pattern {pattern!r} mixes named and unnamed groups. Name all of them, or none."
        return [Fault(mixed, code="TGA202")]
    return []


def _duplicate_names(rules: Iterable[Rule]) -> list[str]:
    faults: list[str] = []
    known: dict[str, Rule] = {}
    for rule in rules:
        other = known.setdefault(rule.name, rule) if rule.name else rule
        if other is not rule:
            faults.append(
                f"URL name {rule.name!r} is used twice: for {_describe(other)} and for {_describe(rule)}. "
                "Rename one, or include its group with another prefix_name."
            )
    return list(Fault.each(faults, "TGA203"))


def _describe(rule: Rule) -> str:
    pattern = getattr(getattr(rule, "regex", None), "pattern", repr(rule.matcher))
    place = getattr(rule, "place", "")
    return f"{pattern.removesuffix('$')!r} at {place}" if place else repr(pattern.removesuffix("$"))


def _import(path: str, where: str, mend: str) -> object:
    try:
        return import_object(path)
    except UrlError:
        raise
    except Exception as exc:  # importing runs the project's own code, which may raise anything
        raise UrlError(import_fault(exc, where, path, mend)) from exc


def _make_placeholder(name: str | None, place: str, faults: Sequence[str]) -> UrlSpec:
    """Return a placeholder for an invalid rule, until `load_app_urls` has collected all faults."""
    return UrlSpec("", None, None, name, place=place, faults=faults)


def _refuse(faults: Sequence[str]) -> None:
    """Raise *faults*, unless `load_app_urls` is running, which raises all of them at its end."""
    if not _is_gathering.get():
        UrlError.gather(faults)


@contextlib.contextmanager
def _collecting(faults: list[str]) -> Generator[None]:
    try:
        yield
    except UrlError as exc:
        faults.extend(exc.faults)


def _caller() -> str:
    """Return file and line of the code outside of this module that called it."""
    frame = frame_above(0)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    path = Path(frame.f_code.co_filename)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{frame.f_lineno}"
