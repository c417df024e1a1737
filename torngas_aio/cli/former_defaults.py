"""Uses of what torngas 1.8 took otherwise, pointed out by `torngas-aio check`.

    timeout=0          expires at once                    1.8's Redis kept the value for ever
    Redis without DB   number 0                           was 1
    xsrf_cookies       off, though a form has the token   was on
    locale_default     'en_US'                            was 'zh_CN'

Begin with `former_default_cautions`.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torngas_aio.cli.awaits import parsed, project_files
from torngas_aio.settings_manager import settings

__all__ = ["former_default_cautions"]

TIMEOUTS = {"set": 2, "add": 2, "touch": 1, "get_or_set": 2, "set_many": 1, "expire": 1}
"""Methods of a cache and the place of their timeout."""

TEMPLATES = (".html", ".htm", ".tpl", ".mako", ".jinja", ".jinja2", ".j2", ".py")


def former_default_cautions(folder: Path) -> Iterator[str]:
    """Yield a sentence for each use, in the settings and in the files under *folder*."""
    yield from _zero_timeouts(folder)
    for alias, cache in settings.CACHES.items():
        if _is_redis_without_db(cache):
            yield f"CACHES[{alias!r}] names no DB: it is 0, and was 1 in torngas 1.8. Write OPTIONS['DB']."
    if not settings.TORNADO_CONF.get("xsrf_cookies"):
        yield from _xsrf_forms(folder)
    own = getattr(sys.modules.get(settings.source or ""), "TRANSLATIONS_CONF", None) or {}
    if settings.TRANSLATIONS and "locale_default" not in own:
        default = settings.TRANSLATIONS_CONF["locale_default"]
        yield f"TRANSLATIONS_CONF names no 'locale_default': it is {default!r}, and was 'zh_CN' in torngas 1.8."


def _zero_timeouts(folder: Path) -> Iterator[str]:
    for path in project_files(folder):
        for node in ast.walk(parsed(path) or ast.Module([], [])):
            if isinstance(node, ast.Call) and _has_zero_timeout(node):
                place = f"{path.relative_to(folder)}:{node.lineno}"
                yield f"{place}: timeout=0 expires at once; None keeps a value for ever."


def _has_zero_timeout(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in TIMEOUTS:
        return False
    if "cache" not in ast.unparse(call.func.value):
        return False
    place = TIMEOUTS[call.func.attr]
    given = [*call.args[place : place + 1], *(each.value for each in call.keywords if each.arg == "timeout")]
    return any(isinstance(each, ast.Constant) and each.value == 0 and each.value is not False for each in given)


def _is_redis_without_db(cache: Mapping[str, Any]) -> bool:
    location = cache.get("LOCATION", "")
    has_db = "DB" in (cache.get("OPTIONS") or {}) or "db" in cache or "://" in str(location)
    return "rediscache" in str(cache.get("BACKEND")) and not has_db


def _xsrf_forms(folder: Path) -> Iterator[str]:
    for path in project_files(folder, TEMPLATES):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            if "xsrf_form_html" in line:
                place = f"{path.relative_to(folder)}:{number}"
                yield f"{place}: the form has a token that nothing checks: TORNADO_CONF['xsrf_cookies'] is off."
