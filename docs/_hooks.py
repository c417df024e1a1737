"""What the documentation takes from the code when it is built: the settings, the commands, the benchmarks.

<!-- settings -->      every setting of `torngas_aio.global_settings`, with its type, default, sub-keys and docstring
<!-- commands -->      every built-in command of `torngas_aio.cli.registry`, with its options
<!-- benchmarks -->    benchmarks/README.md
<!-- changelog -->     CHANGELOG.md
<!-- packages -->      every package that exports names, with a page for each in reference/api/
"""

import argparse
import ast
import importlib
import inspect
import pkgutil
import posixpath
import re
import socket
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from _diagrams import draw_diagrams

ROOT = Path(__file__).parent.parent
NOT_MEASURED = "No figures in this copy. `python -m benchmarks` measures, and writes them."

SUB_KEYS = {
    "AUTH": ("auth/users.py", "AUTH_DEFAULTS"),
    "CORS": ("middleware/cors.py", "CORS_DEFAULTS"),
    "HEALTH": ("operations/handlers.py", "HEALTH_DEFAULTS"),
    "METRICS": ("operations/metrics.py", "METRICS_DEFAULTS"),
    "RATE_LIMIT": ("httpmodule/ratelimit.py", "RATE_LIMIT_DEFAULTS"),
    "TRACES": ("operations/tracing.py", "TRACES_DEFAULTS"),
    "SECURITY_HEADERS": ("middleware/security.py", "SECURITY_HEADERS"),
}
"""Settings whose keys and defaults are a dictionary of another module, and where that is."""

BACKENDS = {
    "CACHES": (
        "cache.backends.base.BaseCache",
        "cache.backends.localcache.LocMemCache",
        "cache.backends.filecache.FileBasedCache",
        "cache.backends.memcached.MemcachedCache",
        "cache.redis.client.RedisClient",
    ),
    "CHANNELS": ("channels.base.BaseChannels", "channels.redis.RedisChannels"),
    "JOBS": ("jobs.base.BaseJobs", "jobs.memory.MemoryJobs", "jobs.redis.RedisJobs"),
}
"""Settings with OPTIONS, and the classes whose docstrings name them."""


GUIDES = {
    "auth": "AUTH",
    "cache": "CACHES",
    "database": "DATABASE_CONNECTION SQLALCHEMY_CONFIGURATION PING_DB PING_CONN_COUNT ATOMIC_REQUESTS STICK_TO_MASTER "
    "MAX_LAG",
    "deployment": "IPV4_ONLY",
    "handlers": "REQUEST_TIMEOUT ETAG",
    "i18n": "TRANSLATIONS TRANSLATIONS_CONF",
    "jobs": "JOBS",
    "live": "CHANNELS",
    "logging": "LOGGING LOGGING_DIR ACCESS_LOG",
    "pipeline": "MIDDLEWARE_CLASSES COMMON_MODULES ROUTE_MODULES",
    "security": "ALLOWED_HOSTS SECURITY_HEADERS CORS RATE_LIMIT XHEADERS TRUSTED_PROXIES TRUSTED_PROXY_HEADERS "
    "WHITELIST",
    "session": "SESSION",
    "templates": "TEMPLATE_CONFIG",
    "threads": "THREADS_NUM THREADS_MAX_WAITING",
    "typed": "OPENAPI OPENAPI_GUARD",
    "urls": "INSTALLED_APPS",
    "../deploy/monitoring": "HEALTH MANAGEMENT METRICS TRACES",
}
"""Pages, from docs/guide, and the settings that they explain; guide/settings.md is that of the others."""


def guide_of(setting: str) -> str:
    """Return the page that explains *setting*, from docs/guide and without its ending."""
    return next((page for page, names in GUIDES.items() if setting in names.split()), "settings")


PUBLIC_MODULES = (
    "torngas_aio.application",
    "torngas_aio.exception",
    "torngas_aio.urlhelper",
    "torngas_aio.cache.backends.base",
    "torngas_aio.middleware.accesslog",
    "torngas_aio.middleware.cors",
    "torngas_aio.middleware.dbalchemy",
    "torngas_aio.middleware.security",
    "torngas_aio.middleware.session",
    "torngas_aio.httpmodule.httpmodule",
    "torngas_aio.httpmodule.ratelimit",
    "torngas_aio.decorators.async_execute",
    "torngas_aio.decorators.whitelist",
    "torngas_aio.http.server",
)
"""Modules that users name or import from beside the packages."""


INVENTORIES = (
    "https://docs.python.org/3/objects.inv",
    "https://www.tornadoweb.org/en/stable/objects.inv",
    "https://docs.sqlalchemy.org/en/20/objects.inv",
)
"""Where names of Python and of the libraries are linked to; a build without the network leaves them plain."""


_urls: set[str] = set()
"""Addresses of all pages, to find the same page in the other language."""


def on_config(config: Any) -> Any:
    """Put the pages of the packages into the navigation; called by MkDocs first."""
    reference = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference.append({"Packages": [{name: f"reference/api/{name}.md"} for name in public_packages()]})
    if _is_online():
        handler = config.plugins["mkdocstrings"].config["handlers"]["python"]
        handler["inventories"] = list(INVENTORIES)
    return config


def _is_online() -> bool:
    try:
        socket.create_connection(("docs.python.org", 443), timeout=3).close()
    except OSError:
        return False
    return True


def on_files(files: Any, *, config: Any) -> Any:
    """Add the page of each package; called by MkDocs when it has read the folder."""
    from mkdocs.structure.files import File

    for package in public_packages():
        page = File.generated(config, f"reference/api/{package}.md", content=package_page(package))
        page.edit_uri = None
        files.append(page)
    _urls.update(file.url for file in files.documentation_pages())
    return files


def on_page_context(context: Any, *, page: Any, config: Any, **_: Any) -> Any:
    """Have the theme's own words, such as *Next*, in the language of a page; called by MkDocs before it fills each."""
    config.theme["language"] = _language(page)
    return context


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Link a page to the other language's, give it our search; called by MkDocs for each."""
    from mkdocs.utils import get_relative_url

    name = page.url.removeprefix("zh/")
    for other, url in (("en", name), ("zh", f"zh/{name}")):
        home = "" if other == "en" else "zh/"
        there = get_relative_url(url if url in _urls else home, page.url)
        output = re.sub(f'href="[^"]*" hreflang="{other}"', f'href="{there}" hreflang="{other}"', output)
    search = get_relative_url("search.js", page.url)
    return re.sub('"search": "[^"]*"', f'"search": "{search}?lang={_language(page)}"', output, count=1)


def _language(page: Any) -> str:
    return "zh" if page.url.startswith("zh/") else "en"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in what a page asks for; called by MkDocs for each page."""
    if "<!-- settings -->" in markdown:
        markdown = markdown.replace("<!-- settings -->", settings_reference())
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", command_reference())
    if "<!-- benchmarks -->" in markdown:
        results = ROOT / "benchmarks" / "README.md"
        text = results.read_text(encoding="utf-8").partition("\n")[2] if results.exists() else NOT_MEASURED
        markdown = markdown.replace("<!-- benchmarks -->", text)
    if "<!-- packages -->" in markdown:
        markdown = markdown.replace("<!-- packages -->", package_list())
    if "<!-- changelog -->" in markdown:
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n")[2]
        markdown = markdown.replace("<!-- changelog -->", text)
    return draw_diagrams(markdown)


def public_packages() -> list[str]:
    """Return the packages and modules that users import from: those with names in `__all__`."""
    import torngas_aio

    found = (each.name for each in pkgutil.walk_packages(torngas_aio.__path__, "torngas_aio.") if each.ispkg)
    return [name for name in ["torngas_aio", *found, *PUBLIC_MODULES] if exported(name)]


def exported(package: str) -> list[str]:
    """Return the names that *package* exports."""
    return list(getattr(importlib.import_module(package), "__all__", ()))


def package_list() -> str:
    """Return the public packages as Markdown: a link, what it is for, and its names."""
    parts: list[str] = []
    for package in public_packages():
        names = ", ".join(f"`{name}`" for name in exported(package))
        parts.append(
            f"[`{package}`](api/{package}.md)\n:   {_first_line(importlib.import_module(package))}\n\n    {names}\n"
        )
    return "\n".join(parts)


def package_page(package: str) -> str:
    """Return the page of *package*: for each exported name what mkdocstrings reads from its source."""
    module = importlib.import_module(package)
    parts = [f"# {package}\n", f"{_first_line(module)}\n"]
    for name in exported(package):
        value = getattr(module, name)
        path = _path_of(value)
        if path is None:
            parts.append(f"## `{name}`\n\n{_shown(value)}\n")
        elif _home(path, package) == package and path.endswith(f".{name}"):
            parts.append(f"::: {path}\n")
        else:
            parts.append(f"## `{name}`\n\nThe same as [{path}][].\n")
    return "\n".join(parts)


def _path_of(value: Any) -> str | None:
    """Return where a class or function of ours is defined; None for other objects, and for what is made at run time."""
    if not (inspect.isclass(value) or inspect.isroutine(value)) or "<locals>" in value.__qualname__:
        return None
    path = f"{value.__module__}.{value.__qualname__}"
    return path if path.startswith("torngas_aio.") else None


@cache
def _home(path: str, otherwise: str) -> str:
    """Return the one page that describes *path*: of the packages that export it the one nearest to its module."""
    name = path.rpartition(".")[2]
    homes = [package for package in public_packages() if name in exported(package)]
    homes = [package for package in homes if _path_of(getattr(importlib.import_module(package), name)) == path]
    return max(homes, key=lambda package: (path.startswith(f"{package}."), len(package)), default=otherwise)


def _first_line(module: Any) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0]


def _shown(value: Any) -> str:
    """Return a line about a constant or an object that a package exports: its type, and the docstring of that."""
    kind = type(value)
    if kind.__module__.startswith("torngas_aio"):
        return f"The project's `{kind.__qualname__}`: {_first_line(kind)}"
    return f"`{value!r}`"


def settings_reference() -> str:
    """Return the settings as Markdown, in the order of the module and under its headings."""
    source = (ROOT / "torngas_aio" / "global_settings.py").read_text(encoding="utf-8")
    headings = {
        number: line.strip("# -\n") for number, line in enumerate(source.splitlines(), 1) if line.startswith("# ---")
    }
    parts: list[str] = []
    statements = ast.parse(source).body
    for statement, following in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        if not isinstance(target, ast.Name) or not target.id.isupper() or statement.value is None:
            continue
        above = [number for number in headings if number < statement.lineno]
        parts.extend(f"## {headings.pop(number).capitalize()}\n" for number in above)
        default = ast.get_source_segment(source, statement.value) or ""
        parts.append(f"### `{target.id}`\n")
        if isinstance(statement, ast.AnnAssign):
            parts.append(f"Type: `{ast.unparse(statement.annotation)}`. Default:\n")
        parts.append(f"```text\n{default}\n```\n")
        if target.id in SUB_KEYS:
            parts.append(f"Keys and their defaults:\n\n```text\n{_sub_keys(*SUB_KEYS[target.id])}\n```\n")
        parts.extend(map(_options_of, BACKENDS.get(target.id, ())))
        guide = guide_of(target.id)
        name = guide.rpartition("/")[2]
        parts.append(f"Guide: [{name}]({posixpath.normpath(f'../guide/{guide}.md')})\n")
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            parts.append(f"{following.value.value}\n")
    return "\n".join(parts)


def _sub_keys(module: str, name: str) -> str:
    """Return the dictionary *name* of *module* as its source has it, comments included."""
    source = (ROOT / "torngas_aio" / module).read_text(encoding="utf-8")
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name and statement.value:
            text = ast.get_source_segment(source, statement.value) or ""
            return text.replace("    HSTS:", '    "Strict-Transport-Security":')
    raise LookupError(f"torngas_aio/{module} has no {name}. Correct SUB_KEYS in docs/_hooks.py.")


def _options_of(path: str) -> str:
    """Return the paragraphs about OPTIONS of the docstring of the class *path*."""
    module, _, name = path.rpartition(".")
    source = (ROOT / "torngas_aio" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    kinds = [each for each in ast.parse(source).body if isinstance(each, ast.ClassDef) and each.name == name]
    paragraphs = (ast.get_docstring(kinds[0]) or "").split("\n\n")
    told = "\n\n".join(each for each in paragraphs if "OPTIONS" in each and not each.startswith("Raises:"))
    return f"`{name}`:\n\n```text\n{told}\n```\n"


def command_reference() -> str:
    """Return the built-in commands as Markdown, each with what `--help` prints."""
    from torngas_aio.cli.registry import BUILT_IN, load_command

    parts: list[str] = []
    for name in BUILT_IN:
        command = load_command(name)
        parser = argparse.ArgumentParser(prog=f"torngas-aio {name}", formatter_class=_WIDE)
        command.add_arguments(parser)
        summary = command.help[:1].upper() + command.help[1:].rstrip(".")
        parts.append(f"## `{name}`\n\n{summary}.\n")
        if name == "runserver":  # its options are Tornado's, not its parser's
            parts.append(_server_options())
            continue
        parts.extend(f"```text\n{each.format_help().strip()}\n```\n" for each in parsers_of(parser))
    return "\n".join(parts)


def _server_options() -> str:
    from torngas_aio.webserver.options import BUILT_IN

    rows = [f"| `--{name.replace('_', '-')}` | `{default!r}` | {text} |" for name, default, _, text in BUILT_IN]
    return "\n".join(["| option | default | |", "| --- | --- | --- |", *rows, ""])


_WIDE: Any = partial(argparse.HelpFormatter, width=100)


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield *parser* and the parsers of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                inner.formatter_class = _WIDE
                yield from parsers_of(inner)
