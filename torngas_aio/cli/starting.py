"""`torngas-aio startproject` and `startapp`: new files from templates.

In the names and texts of the templates, words between double underscores are replaced: `__project__`,
`__app__`, `__secret__`. Begin with `StartProject`.
"""

import argparse
import importlib
import importlib.util
import keyword
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from torngas_aio.exception import ArgumentError, ConfigError

__all__ = ["StartApp", "StartProject", "copy_templates"]

TEMPLATES = Path(__file__).parent / "templates"


class StartProject:
    """Make a new project: settings, an application with a page and an API, hooks, tests, files to deploy it."""

    help = "make a new project in a new directory"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="name of the project")
        parser.add_argument("directory", nargs="?", help="where to make it; default: a new directory of that name")

    def run(self, arguments: argparse.Namespace) -> int:
        """Copy the project's templates.

        Raises:
            ArgumentError: The name cannot be one of a package.
            ConfigError: What is to be made exists already.
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

    def run(self, arguments: argparse.Namespace) -> int:
        """Copy the application's templates.

        Raises:
            ArgumentError: The name cannot be one of a package.
            ConfigError: What is to be made exists already.
        """
        name = arguments.name
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ArgumentError(f"startapp {name!r}: a package's name is letters, digits and underscores.")
        if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
            raise ConfigError(
                f"startapp {name!r}: a module of this name exists already. Choose another name.", code="TGA803"
            )
        copy_templates("app", Path(name), {"app": name})
        print(f"Made {name}/. Add {name!r} to INSTALLED_APPS, then look at /{name}/.")
        return 0


def copy_templates(kind: str, target: Path, words: Mapping[str, str]) -> None:
    """Copy the tree *kind* of the templates to *target*, with *words* put in.

    Args:
        words: Without the underscores around them.

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
