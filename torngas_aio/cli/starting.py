"""`torngas-aio startproject` and `startapp`: new files from templates.

In the names and texts of the templates, words between double underscores are replaced: `__project__`,
`__app__`, `__secret__`.
"""

import argparse
import importlib
import importlib.util
import keyword
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from torngas_aio.exception import ArgumentError, ConfigError
from torngas_aio.scripts import project_table

__all__ = ["StartApp", "StartProject", "copy_templates"]

TEMPLATES = Path(__file__).parent / "templates"

_VERSION = re.compile(r"""^(revision|down_revision)\b[^=\n]*=\s*["'](\w+)["']""", re.MULTILINE)

_AUTH_COMMANDS = """\
createuser = "__app__.commands.CreateUser"
changepassword = "__app__.commands.ChangePassword"
"""

_AUTH_STEPS = """Made __app__/, templates/__app__/ and a migration. Now, in the settings:

  INSTALLED_APPS                  add "__app__"
  MIDDLEWARE_CLASSES              add, in this order and before HttpModuleMiddleware,
                                  "torngas_aio.middleware.dbalchemy.DBAlchemyMiddleware",
                                  "torngas_aio.middleware.session.SessionMiddleware",
                                  "torngas_aio.auth.AuthMiddleware"
  DATABASE_CONNECTION             a connection "default"
  SESSION = {"secret_key": "__secret__"}    for development only
  BASE_URL = "https://www.example.com"    what links in mails begin with
  AUTH = {
      "load_user": "__app__.models.load_user",
      "has_permission": "__app__.models.has_permission",
      "login_url": "/__app__/login",
  }

Then `torngas-aio db upgrade` and `torngas-aio createuser NAME EMAIL --admin`. Write send_mail() in __app__/mail.py.
"""


class StartProject:
    """Make a new project: settings, an application with a page and an API, hooks, tests, files to deploy it."""

    help = "make a new project in a new directory"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the project")
        parser.add_argument("directory", nargs="?", help="where to make it; default: a new directory of that name")

    def run(self, arguments: argparse.Namespace) -> int:
        """Copy the project's templates.

        Raises:
            ArgumentError: The name is not valid for a package.
            ConfigError: The directory exists and is not empty.
        """
        name = arguments.name
        if not name.replace("-", "_").isidentifier():
            raise ArgumentError(f"startproject {name!r}: use letters, digits, underscores and hyphens; no digit first.")
        target = Path(arguments.directory or name)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(f"{target}: exists and is not empty. Choose another name, or empty it.", code="TGA803")
        copy_templates("project", target, {"project": name, "secret": secrets.token_urlsafe(32)})
        is_here = target.resolve() == Path.cwd()
        steps = [*([] if is_here else [f"cd {target}"]), "python runserver.py", "python -m pytest"]
        print("\n  ".join([f"Made {target.resolve() if is_here else target}. Now:\n", *steps]) + "\n")
        return 0


class StartApp:
    """Make a new application in this project: a package with `urls.py` and `handlers/`."""

    help = "make a new application in this project"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the package")
        parser.add_argument(
            "--template",
            choices=("app", "auth"),
            default="app",
            help="auth: users, groups and permissions, with pages, commands and a migration",
        )

    def run(self, arguments: argparse.Namespace) -> int:
        """Copy the application's templates.

        Raises:
            ArgumentError: The name is not valid for a package.
            ConfigError: A module of that name exists already.
        """
        name = arguments.name
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(f"startapp {name!r}: a package's name is letters, digits and underscores.")
        if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
            raise ConfigError(
                f"startapp {name!r}: a module of this name exists already. Choose another name.", code="TGA803"
            )
        if arguments.template == "auth":
            _copy_auth(name)
            return 0
        copy_templates("app", Path(name), {"app": name})
        print(f"Made {name}/. Add {name!r} to INSTALLED_APPS, then look at /{name}/.")
        return 0


def _copy_auth(name: str) -> None:
    """Write the application, its pages and its migration, and register its commands in pyproject.toml."""
    pages, pyproject = Path("templates", name), Path("pyproject.toml")
    if pages.exists():
        raise ConfigError(f"{pages}: exists already. Choose another name.", code="TGA803")
    words = {
        "app": name,
        "revision": secrets.token_hex(6),
        "down": repr(_newest_migration(Path("migrations/default"))),
        "secret": secrets.token_urlsafe(32),
    }
    text = pyproject.read_text(encoding="utf-8") if pyproject.is_file() else ""
    copy_templates("auth", Path(), words)
    if "createuser" not in project_table().get("commands", {}):
        header, commands = "[tool.torngas-aio.commands]\n", _filled(_AUTH_COMMANDS, words)
        text = text if header in text else f"{text.rstrip()}\n\n{header}".lstrip()
        pyproject.write_text(text.replace(header, header + commands, 1), encoding="utf-8")
    print(_filled(_AUTH_STEPS, words))


def _newest_migration(folder: Path) -> str | None:
    """Return the newest migration in *folder*, which no other one follows; None if there are no migrations.

    Raises:
        ConfigError: There are several: the branches must be merged first.
    """
    found: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in folder.glob("*.py"):
        for name, version in _VERSION.findall(path.read_text(encoding="utf-8")):
            found[name].add(version)
    newest = found["revision"] - found["down_revision"]
    if len(newest) > 1:
        raise ConfigError(f"{folder}: {', '.join(sorted(newest))} are all the newest. Merge them first.", code="TGA803")
    return next(iter(newest), None)


def copy_templates(kind: str, target: Path, words: Mapping[str, str]) -> None:
    """Copy the template folder *kind* to *target* and replace *words* in names and texts.

    Args:
        words: Replacements, by name without the double underscores.

    Raises:
        ConfigError: The files cannot be written.
    """
    source = TEMPLATES / kind
    try:
        for path in sorted(source.rglob("*")):
            if path.is_dir() or "__pycache__" in path.parts:
                continue
            place = target / _filled(str(path.relative_to(source)), words).removesuffix(".tmpl")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(_filled(path.read_text(encoding="utf-8"), words), encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{exc.filename}: {exc.strerror}.", code="TGA803") from exc
    importlib.invalidate_caches()


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"__{name}__", value)
    return text
