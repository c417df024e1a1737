"""The settings of the program: one object, readable anywhere, loaded on first use.

    --settings=pkg.module        ┐
    TORNGAS_APP_SETTINGS         ├─ load_settings ──► values ──► settings.NAME
    neither: built-in defaults   ┘                      ▲
    settings.configure(NAME=…) ─────────────────────────┘
    with settings.override(NAME=…):   only this context and the tasks it starts

A name without an override in any context is a plain attribute of `settings`. A name that some context overrides is
removed from the instance and looked up in the context until its last override has ended.
"""

# pyright: reportPrivateUsage=false

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

from torngas_aio import global_settings
from torngas_aio._names import import_module, nearest
from torngas_aio._project_errors import install_hint, place_of
from torngas_aio.exception import ConfigError, UnknownSetting
from torngas_aio.utils.narrowing import is_dict

__all__ = ["ENVIRONMENT_NAME", "Section", "Settings", "SettingsOverride", "load_settings", "settings"]

ENVIRONMENT_NAME = "TORNGAS_APP_SETTINGS"
SETTINGS_MODULE_ENVIRON = ENVIRONMENT_NAME
"""The environment variable that names the settings module when `--settings` does not."""

COMPLETED_NAMES = frozenset({"SESSION", "TEMPLATE_CONFIG", "TRANSLATIONS_CONF", "TORNADO_CONF"})
"""Settings that are completed key by key; every other one is replaced whole."""


class Section(dict[str, Any]):
    """A dict of the settings whose keys can be read as attributes: `settings.SESSION.expires`.

    Methods of `dict` (`keys`, `get`, …) take precedence. Dicts inside lists and tuples are sections
    too.
    """

    __slots__ = ("_path",)

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        super().__init__({key: _frozen(value, f"{path}.{key}") for key, value in values.items()})
        self._path = path

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name.startswith("__"):  # looked up by copy, pickle and inspect
                raise AttributeError(name) from None
            raise _unknown(f"{self._path}.{name}", (f"{self._path}.{key}" for key in self)) from None

    def __reduce__(self) -> tuple[object, ...]:
        return (Section, (dict(self), self._path))


class Settings:
    """Attribute access to every setting; reading one loads the chosen module if none was loaded yet.

    `name in settings` tests whether a setting exists; `dir(settings)` lists them.

    Attributes:
        source: The module of the values; None for the built-in defaults and after `configure`.
    """

    source: str | None

    def __init__(self) -> None:
        self.__dict__.update(source=None, _values=None, _is_built_in=False, _overridden={}, _lock=threading.RLock())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not name.isupper():
            raise AttributeError(f"Settings are upper-case names; {name!r} is neither one nor a method of settings.")
        for layer in reversed(_layers.get()):
            if layer.is_active and name in layer.values:
                return layer.values[name]
        values = self._load_values()
        if name in values:
            return values[name]
        raise _unknown(name, values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"settings.{name} cannot be set. Write it in the settings module, call settings.configure({name}=...) "
            f"at the start of a script, or use `with settings.override({name}=...)` in a test."
        )

    def __contains__(self, name: object) -> bool:
        return name in self._visible()

    def __iter__(self) -> Iterator[str]:
        return iter(self._visible())

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._visible()})

    def __repr__(self) -> str:
        return f"<Settings of {self.source or 'built-in defaults'}>"

    @property
    def is_built_in(self) -> bool:
        """Whether only the built-in defaults are in use: no module was named, `configure` was not called."""
        self._load_values()
        return bool(self.__dict__["_is_built_in"])

    @property
    def is_loaded(self) -> bool:
        """Whether a module was loaded or `configure` was called; reading a setting loads too."""
        return self.__dict__["_values"] is not None

    def load(self, module: str | None = None) -> None:
        """Load *module*, else the one in TORNGAS_APP_SETTINGS, else the built-in defaults.

        Earlier values are replaced.

        Raises:
            ConfigError: The module cannot be imported; the message has the cause.
        """
        source = module or os.environ.get(ENVIRONMENT_NAME) or None
        self._install(load_settings(source), source)
        self.__dict__["_is_built_in"] = source is None

    def configure(self, **values: Any) -> None:
        """Use the built-in defaults with *values* over them, instead of a module; for scripts and tests.

        *values* are merged as those of a settings module. A second call starts from the defaults again.
        """
        self._install(_merge(_defaults(), values), None)
        self.__dict__["_is_built_in"] = False

    def amend(self, **values: Any) -> None:
        """Override the loaded values with *values* permanently; used for the command line's options.

        SESSION, TEMPLATE_CONFIG, TRANSLATIONS_CONF and TORNADO_CONF are completed from their current values.
        """
        self._install(_merge(self._load_values(), values), self.source)

    def override(self, **values: Any) -> "SettingsOverride":
        """Return a context manager that sets *values* for this context and the tasks it starts.

        Other tasks are not affected. SESSION, TEMPLATE_CONFIG, TRANSLATIONS_CONF and TORNADO_CONF are
        completed from their current values, so `override(SESSION={'expires': 60})` keeps the rest. When the `with`
        block ends, the override ends in every task.
        """
        return SettingsOverride(self, values)

    def reset(self) -> None:
        """Discard the loaded or configured values; the next read loads again. Overrides stay."""
        with self._lock:
            self._clear()
            self.__dict__.update(source=None, _values=None)

    def as_dict(self) -> dict[str, Any]:
        """Return every setting visible in this context, as a new dict."""
        return {name: getattr(self, name) for name in self._visible()}

    def _install(self, values: dict[str, Any], source: str | None) -> None:
        with self._lock:
            self._clear()
            self.__dict__.update(source=source, _values=values)
            self.__dict__.update({name: values[name] for name in values if name not in self._overridden})

    def _clear(self) -> None:
        for name in [name for name in self.__dict__ if name.isupper()]:
            del self.__dict__[name]

    def _load_values(self) -> dict[str, object]:
        values: dict[str, Any] | None = self.__dict__["_values"]
        if values is None:
            with self._lock:
                if self.__dict__["_values"] is None:
                    self.load()
            values = self.__dict__["_values"]
            assert values is not None
        return values

    def _visible(self) -> list[str]:
        names = dict.fromkeys(self._load_values())
        for layer in _layers.get():
            if layer.is_active:
                names.update(dict.fromkeys(layer.values))
        return list(names)

    def _hide(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._overridden[name] = self._overridden.get(name, 0) + 1
                self.__dict__.pop(name, None)

    def _show(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._overridden[name] -= 1
                if not self._overridden[name]:
                    del self._overridden[name]
                    if self.is_loaded and name in self._load_values():
                        self.__dict__[name] = self._load_values()[name]


class SettingsOverride:
    """Values for one `with` block; created by `Settings.override`.

    Raises:
        ConfigError: On creation: a name is not upper-case.
        RuntimeError: On entry: it is already active.
    """

    __slots__ = ("_settings", "_token", "_wanted", "is_active", "values")

    def __init__(self, owner: Settings, values: Mapping[str, Any]) -> None:
        for name in values:
            if not name.isupper() or name.startswith("_"):
                raise ConfigError(f"settings.override({name}=...): settings are upper-case names.", code="TGA101")
        self._settings = owner
        self._wanted = dict(values)
        self._token: Token[tuple[SettingsOverride, ...]] | None = None
        self.values: dict[str, Any] = {}
        self.is_active = False

    def __enter__(self) -> Self:
        if self.is_active:
            raise RuntimeError("This settings override is already in force; make a second one.")
        present = {name: getattr(self._settings, name) for name in self._wanted if name in COMPLETED_NAMES}
        self.values = _merge(present, self._wanted)
        self._settings._hide(self.values)
        self.is_active = True
        self._token = _layers.set((*_layers.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.is_active = False
        self._settings._show(self.values)
        assert self._token is not None
        try:
            _layers.reset(self._token)
        except ValueError:  # left in another context than it was entered in: remove the layer from this one
            _layers.set(tuple(layer for layer in _layers.get() if layer is not self))


_layers: ContextVar[tuple[SettingsOverride, ...]] = ContextVar("torngas_aio_settings", default=())

settings = Settings()
"""The one settings object of the program."""


def load_settings(module: str | None) -> dict[str, Any]:
    """Return the defaults overridden by the upper-case names of *module*.

    Args:
        module: Dotted name, or None for only the defaults.

    Raises:
        ConfigError: *module* cannot be imported.
    """
    if module is None:
        return _defaults()
    try:
        found = import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name and (module == exc.name or module.startswith(f"{exc.name}.")):
            raise ConfigError(
                f"Settings module {module!r}: no module {exc.name!r} on sys.path. "
                f"Check --settings or {ENVIRONMENT_NAME}, and start from the project's directory.",
                code="TGA101",
            ) from exc
        raise _not_imported(module, exc, f"{exc}. {install_hint(exc, module)}".rstrip()) from exc
    except Exception as exc:  # importing runs the project's own code
        raise _not_imported(module, exc, f"{type(exc).__name__}: {exc}") from exc
    return _merge(_defaults(), _names_of(found))


def _not_imported(module: str, error: BaseException, reason: str) -> ConfigError:
    place = place_of(error)
    told = f"Settings module {module!r} could not be imported: {reason}"
    return ConfigError(f"{place}: {told}" if place else told, code="TGA101")


def _defaults() -> dict[str, object]:
    return {name: _frozen(value, name) for name, value in _names_of(global_settings).items()}


def _names_of(module: object) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if name.isupper() and not name.startswith("_")}


def _merge(below: Mapping[str, Any], above: Mapping[str, object]) -> dict[str, Any]:
    """Return *below* overridden by *above*; a completed name that is not a dict is left for the checks to report."""
    merged = dict(below)
    for name, value in above.items():
        if name in COMPLETED_NAMES and isinstance(value, dict) and isinstance(below.get(name), dict):
            merged[name] = Section({**below[name], **value}, name)
        else:
            merged[name] = _frozen(value, name)
    return merged


def _frozen(value: Any, path: str) -> object:
    """Return *value* with sections in place of dicts; containers are copied, so that callers do not share them."""
    if is_dict(value):
        return Section(value, path)
    if type(value) in (list, tuple):
        return type(value)(_frozen(item, f"{path}[{index}]") for index, item in enumerate(value))
    return value


def _unknown(name: str, known: Iterable[str]) -> UnknownSetting:
    near = nearest(name, known)
    hint = "" if near is None else f' Did you mean "{near}"?'
    return UnknownSetting(f'settings "{name}" not exist!{hint}')
