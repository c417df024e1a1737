"""What the documentation takes from the code when it is built: the settings, the commands, the benchmarks.

<!-- settings -->      every setting of `torngas_aio.global_settings`, with its type, default, sub-keys and docstring
<!-- commands -->      every built-in command of `torngas_aio.cli.registry`, with its options
<!-- benchmarks -->    benchmarks/README.md
<!-- changelog -->     CHANGELOG.md
"""

import argparse
import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
NOT_MEASURED = "No figures in this copy. `python -m benchmarks` measures, and writes them."

SUB_KEYS = {
    "AUTH": ("auth/users.py", "AUTH_DEFAULTS"),
    "CORS": ("middleware/cors.py", "CORS_DEFAULTS"),
    "HEALTH": ("operations/handlers.py", "HEALTH_DEFAULTS"),
    "RATE_LIMIT": ("httpmodule/ratelimit.py", "RATE_LIMIT_DEFAULTS"),
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
}
"""Settings with OPTIONS, and the classes whose docstrings name them."""


GUIDES = {
    "auth": "AUTH",
    "cache": "CACHES",
    "database": "DATABASE_CONNECTION SQLALCHEMY_CONFIGURATION PING_DB PING_CONN_COUNT ATOMIC_REQUESTS STICK_TO_MASTER "
    "MAX_LAG",
    "i18n": "TRANSLATIONS TRANSLATIONS_CONF",
    "live": "CHANNELS",
    "logging": "LOGGING LOGGING_DIR",
    "pipeline": "MIDDLEWARE_CLASSES COMMON_MODULES ROUTE_MODULES",
    "security": "ALLOWED_HOSTS SECURITY_HEADERS CORS RATE_LIMIT",
    "session": "SESSION",
    "templates": "TEMPLATE_CONFIG",
    "threads": "THREADS_NUM THREADS_MAX_WAITING",
    "typed": "OPENAPI",
    "urls": "INSTALLED_APPS",
}
"""Pages of docs/guide and the settings that they explain; guide/settings.md is that of the others."""


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
    if "<!-- changelog -->" in markdown:
        text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n")[2]
        markdown = markdown.replace("<!-- changelog -->", text)
    return markdown


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
        guide = next((page for page, names in GUIDES.items() if target.id in names.split()), "settings")
        parts.append(f"Guide: [{guide}](../guide/{guide}.md)\n")
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
