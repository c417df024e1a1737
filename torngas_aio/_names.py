"""Names in settings and calls: importing objects by dotted paths, and suggestions for misspelt names."""

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["did_you_mean", "import_module", "import_object", "nearest", "without_exit"]

T = TypeVar("T")


def import_object(path: str) -> Any:
    """Return the object at the dotted *path*: a module, or an attribute of one, at any depth.

    Raises:
        ImportError: No module of *path* exists, or the module lacks the attribute. An error raised
            while the module itself runs is passed on unchanged.
    """
    if not all(path.split(".")):
        raise ImportError(f"{path!r} is not a dotted path.", name=path)
    module_name = path.rpartition(".")[0]
    if not module_name:
        return import_module(path)
    found: object
    found, opening = _nearest_module(module_name)
    for name in path[len(opening) + 1 :].split("."):
        if not hasattr(found, name):
            if isinstance(found, ModuleType) and _is_submodule(found, name):
                found = import_module(f"{found.__name__}.{name}")
                continue
            raise ImportError(f"{path!r}: {_named(found)} has no attribute {name!r}.", name=path)
        found = getattr(found, name)
    return found


def import_module(name: str) -> ModuleType:
    """Return the module *name*.

    Raises:
        ImportError: It does not exist (`error.name` is then the missing part), or an import in it failed.
        RuntimeError: It called `sys.exit`.
    """
    return without_exit(importlib.import_module, name)


def without_exit(call: Callable[..., T], *arguments: object) -> T:
    """Return the result of *call*, which is the project's own code.

    Raises:
        RuntimeError: It called `sys.exit`, which would end the program without an explanation.
    """
    try:
        return call(*arguments)
    except SystemExit as exc:
        told = RuntimeError(f"sys.exit({'' if exc.code is None else repr(exc.code)}) was called.")
        raise told.with_traceback(exc.__traceback__) from None


def _nearest_module(name: str) -> tuple[ModuleType, str]:
    """Return the longest importable prefix of *name*, `pkg.mod` of `pkg.mod.Class`: the module, and the prefix.

    The module's `__name__` may differ from the prefix: that of `os.path` is `posixpath`.
    """
    try:
        return import_module(name), name
    except ModuleNotFoundError as exc:
        parent, _, _ = name.rpartition(".")
        missing_here = exc.name == name or (exc.name or "") == parent
        if not parent or not (missing_here or "is not a package" in str(exc)):
            raise
        return _nearest_module(parent)


def _is_submodule(package: ModuleType, name: str) -> bool:
    if not hasattr(package, "__path__"):
        return False
    return importlib.util.find_spec(f"{package.__name__}.{name}") is not None


def _named(found: object) -> str:
    kind = "module" if isinstance(found, ModuleType) else type(found).__name__
    return f"{kind} {getattr(found, '__name__', repr(found))!r}"


def nearest(name: object, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the most similar one of *known*, None if none is similar.

    Args:
        likeness: Minimum similarity, from 0 to 1.
    """
    return next(iter(difflib.get_close_matches(str(name), list(known), 1, likeness)), None)


def did_you_mean(name: object, known: Iterable[str], otherwise: str = "", likeness: float = 0.6) -> str:
    """Return ` Did you mean 'near'?`, to follow a sentence about *name*; *otherwise* if no known name is similar."""
    near = nearest(name, known, likeness)
    return otherwise if near is None else f" Did you mean {near!r}?"
