"""Texts in the visitor's language: translations, language selection, and lazy texts.

    load_translations(TRANSLATIONS_CONF)   Tornado CSV or gettext catalogues, at start
    user_locale(handler, conf)             cookie ─► user ─► Accept-Language ─► locale_default
    find_locale("de-AT, en;q=0.8")         the best available language, None if none fits
    gettext, lazy_gettext                  the current request's language, anywhere below the handler

The catalogues themselves are Tornado's (`tornado.locale`).
"""

import functools
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from tornado import locale
from tornado.web import RequestHandler

from torngas_aio.context import current_request
from torngas_aio.exception import ConfigError, Fault, UnknownLanguage
from torngas_aio.utils.narrowing import is_mapping
from torngas_aio.utils.numbers import parse_quality

__all__ = [
    "LazyText",
    "current_locale",
    "find_locale",
    "gettext",
    "lazy_gettext",
    "lazy_pgettext",
    "load_translations",
    "ngettext",
    "pgettext",
    "pgettext_of",
    "remember_locale",
    "use_locale",
    "user_locale",
]

_override: ContextVar[locale.Locale | None] = ContextVar("torngas_aio_locale", default=None)

_FORMATS = ("csv", "gettext")
_MAIN_REGIONS = {"ar": "eg", "cs": "cz", "da": "dk", "el": "gr", "en": "us", "et": "ee", "fa": "ir", "he": "il",
                 "hi": "in", "ja": "jp", "ko": "kr", "nb": "no", "pt": "br", "sl": "si", "sr": "rs", "sv": "se",
                 "uk": "ua", "vi": "vn", "zh": "cn"}  # fmt: skip
"""The main region of a language, if that is not the language's own code (CLDR, likely subtags)."""
_SCRIPTS = (dict.fromkeys(("hans", "cn", "sg")), dict.fromkeys(("hant", "tw", "hk", "mo")))
_MAX_LANGUAGES = 32
"""Most ranges of one `Accept-Language` that are read."""


def load_translations(conf: Mapping[str, Any]) -> frozenset[str]:
    """Load the catalogues of *conf* (TRANSLATIONS_CONF); return the codes of the languages.

    Args:
        conf: `translations_dir`; `locale_default`; `format` (`csv`, `gettext`; by default the one that exists);
            `gettext_domain` (by default the only one); `encoding` of CSV files.

    Raises:
        ConfigError: No directory, no catalogue, both formats in one directory, or several domains to choose from.
    """
    directory = Path(str(conf.get("translations_dir") or ""))
    if not conf.get("translations_dir") or not directory.is_dir():
        path = "TRANSLATIONS_CONF['translations_dir']"
        text = f"{path} = {conf.get('translations_dir')!r}: no such directory. Make it, or set TRANSLATIONS = False."
        raise ConfigError(Fault(text, path=path), code="TGA602")
    kind = _format_of(directory, conf)
    locale.set_default_locale(str(conf.get("locale_default") or "en_US"))
    if kind == "csv":
        locale.load_translations(str(directory), conf.get("encoding"))
    else:
        locale.load_gettext_translations(str(directory), _domain_of(directory, conf))
    return frozenset(locale.get_supported_locales())


def user_locale(handler: RequestHandler, conf: Mapping[str, object]) -> locale.Locale | None:
    """Return the language of *handler*'s visitor, None to use Accept-Language.

    Args:
        handler: A `tornado.web.RequestHandler`.
        conf: `cookie_name`: a cookie with a language code; `user_attribute`: an attribute (or key) of
            `current_user`; `use_accept_language`; `locale_default`. Codes are resolved by `find_locale`; those
            without a language are ignored.
    """
    for code in _chosen_codes(handler, conf):
        found = find_locale(code) if code else None
        if found is not None:
            return found
    if conf.get("use_accept_language", True):
        return None
    return locale.get(str(conf.get("locale_default") or "en_US"))


def find_locale(languages: str) -> locale.Locale | None:
    """Return the best available language, None if none fits.

    A language fits itself (`de_DE` for `de-DE`), without its last parts (`de` for `de-AT`), or else in another
    region: that of its script (`zh_TW` for `zh-Hant`), its main one (`pt_BR` for `pt`), any (`de_DE` for `de-AT`).

    Args:
        languages: One code, such as `de`, `pt_BR` or `zh-Hans-CN`, or the value of an `Accept-Language` header.
    """
    known = _known_languages(frozenset(locale.get_supported_locales()))
    for wanted in _ranked(languages):
        code = _best_match(wanted.replace("-", "_").lower().split("_"), known)
        if code is not None:
            return locale.Locale.get(code)
    return None


def remember_locale(handler: Any, code: str, conf: Mapping[str, object]) -> None:
    """Set the cookie from which `user_locale` reads this visitor's language.

    Args:
        code: As for `find_locale`; the cookie stores the code of the language found.

    Raises:
        ConfigError: `cookie_name` is not set.
        UnknownLanguage: There is no language *code*; the response to a request that does not catch it is 400.
    """
    name = conf.get("cookie_name")
    if not name:
        raise ConfigError(
            "TRANSLATIONS_CONF['cookie_name'] is not set: name the cookie that holds the language.", code="TGA602"
        )
    found = find_locale(code)
    if found is None:
        known = ", ".join(sorted(locale.get_supported_locales()))
        raise UnknownLanguage(f"There is no language {code!r}; there are: {known}.")
    handler.set_cookie(name, found.code, expires_days=365, path="/", samesite="Lax")


def current_locale() -> locale.Locale:
    """Return the language of this context: set by `use_locale`, or that of the request's handler, else the default."""
    chosen = _override.get()
    if chosen is not None:
        return chosen
    handler = getattr(current_request(), "handler", None)
    if handler is not None:
        found: locale.Locale = handler.locale
        return found
    return locale.get()


@contextmanager
def use_locale(code: str) -> Generator[locale.Locale]:
    """Use the language *code* for `gettext` and lazy texts in this context, such as for a mail to another person."""
    token = _override.set(find_locale(code) or locale.get())
    try:
        yield current_locale()
    finally:
        _override.reset(token)


def gettext(message: str) -> str:
    """Return *message* in the current language."""
    return current_locale().translate(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the form for *count* in the current language."""
    return current_locale().translate(singular, plural, count)


def pgettext(context: str, message: str) -> str:
    """Return *message* translated for *context*; CSV catalogues have no contexts."""
    return pgettext_of(current_locale())(context, message)


def pgettext_of(spoken: locale.Locale) -> Callable[..., str]:
    """Return a `pgettext` for the language *spoken*; with a CSV catalogue, the plain translation."""

    def translate(_context: str, *texts: Any) -> str:
        return spoken.translate(*texts)

    # Tornado's method does the same, but logs a warning for each text.
    return translate if isinstance(spoken, locale.CSVLocale) else spoken.pgettext


def lazy_gettext(message: str) -> "LazyText":
    """Return a text that is translated each time it is used; for objects created outside of a request."""
    return LazyText(functools.partial(gettext, message))


def lazy_pgettext(context: str, message: str) -> "LazyText":
    """Return a lazy text as `lazy_gettext`, with a context."""
    return LazyText(functools.partial(pgettext, context, message))


class LazyText:
    """A text computed on use. It can be used like a `str`, and `str()` converts it to one."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make

    def __str__(self) -> str:
        return self._make()

    def __repr__(self) -> str:
        return f"LazyText({str(self)!r})"

    def __json__(self) -> str:
        return str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return str(self) == (str(other) if isinstance(other, LazyText) else other)

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __len__(self) -> int:
        return len(str(self))

    def __bool__(self) -> bool:
        return bool(str(self))

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __contains__(self, part: str) -> bool:
        return part in str(self)

    def __getitem__(self, index: int | slice) -> str:
        return str(self)[index]

    def __add__(self, other: object) -> str:
        return str(self) + str(other)

    def __radd__(self, other: object) -> str:
        return str(other) + str(self)

    def __mod__(self, values: object) -> str:
        return str(self) % values

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(str(self), name)


@functools.lru_cache(1)
def _known_languages(supported: frozenset[str]) -> dict[str, str]:
    """Return the available codes by their lower-case form with `_` between the parts, in alphabetical order."""
    return {code.replace("-", "_").lower(): code for code in sorted(supported)}


def _ranked(languages: str) -> list[str]:
    """Return the language ranges of *languages*, best first, without those of `q=0`, `*` and invalid ones."""
    ranked: list[tuple[float, str]] = []
    for item in languages.split(",", _MAX_LANGUAGES)[:_MAX_LANGUAGES]:
        code, *parameters = item.split(";")
        quality = _quality(parameters)
        if quality > 0 and _LANGUAGE.fullmatch(code.strip()):
            ranked.append((quality, code.strip()))
    ranked.sort(key=lambda pair: -pair[0])
    return [code for _, code in ranked]


_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:[-_][A-Za-z0-9]{1,8}){0,4}")


def _quality(parameters: list[str]) -> float:
    if not parameters:
        return 1.0
    name, _, value = parameters[0].strip().partition("=")
    return parse_quality(value) or 0.0 if name.lower() == "q" else 0.0


def _best_match(parts: list[str], known: Mapping[str, str]) -> str | None:
    """Return the code in *known* that fits *parts* best: RFC 4647 3.4 lookup, extended by related regions."""
    language, *others = parts
    wanted = ["_".join(parts[:length]) for length in range(len(parts), 1, -1)]
    wanted += [f"{language}_{part}" for part in (*others, *_related(others))]
    main = _MAIN_REGIONS.get(language, language)
    wanted += [language, *(f"{language}_{part}" for part in (main, *_related([main])))]
    wanted += [code for code in known if code.startswith(f"{language}_")]
    return next((known[code] for code in wanted if code in known), None)


def _related(parts: list[str]) -> list[str]:
    """Return scripts and regions with the same writing system as those in *parts*."""
    return [part for group in _SCRIPTS for part in group if not group.keys().isdisjoint(parts)]


def _chosen_codes(handler: RequestHandler, conf: Mapping[str, Any]) -> Iterator[str | None]:
    if conf.get("cookie_name"):
        yield handler.get_cookie(conf["cookie_name"])
    if conf.get("user_attribute"):
        user = handler.current_user
        name = conf["user_attribute"]
        code = user.get(name) if is_mapping(user) else getattr(user, name, None)
        yield code if isinstance(code, str) else None


def _format_of(directory: Path, conf: Mapping[str, object]) -> str:
    kind = conf.get("format")
    if kind is not None and kind not in _FORMATS:
        raise ConfigError(f"TRANSLATIONS_CONF['format'] = {kind!r}: write 'csv' or 'gettext'.", code="TGA602")
    is_there = {"csv": any(directory.glob("*.csv")), "gettext": any(directory.glob("*/LC_MESSAGES/*.mo"))}
    if kind is None and all(is_there.values()):
        raise ConfigError(
            f"{directory} holds CSV and gettext catalogues: set TRANSLATIONS_CONF['format'].", code="TGA602"
        )
    found = kind or next((name for name, there in is_there.items() if there), None)
    if found is None or not is_there[found]:
        raise ConfigError(
            f"{directory} holds no {found or 'CSV or gettext'} catalogue. "
            "CSV: `zh_CN.csv`; gettext: `zh_CN/LC_MESSAGES/messages.mo`, compiled from its .po.",
            code="TGA602",
        )
    return str(found)


def _domain_of(directory: Path, conf: Mapping[str, object]) -> str:
    domains = sorted({path.stem for path in directory.glob("*/LC_MESSAGES/*.mo")})
    wanted = conf.get("gettext_domain")
    if wanted in domains or (wanted is None and len(domains) == 1):
        return str(wanted or domains[0])
    raise ConfigError(
        f"TRANSLATIONS_CONF['gettext_domain'] = {wanted!r}: {directory} holds {', '.join(domains)}.", code="TGA602"
    )
