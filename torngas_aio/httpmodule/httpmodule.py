"""HTTP modules: their base class, and the middleware that adds them to each route's pipeline.

    COMMON_MODULES = ('app.Auth', 'app.Audit')                       every matched route, first
    ROUTE_MODULES  = {'Login': ['!app.Auth'],                        a route's name, or ...
                      '^/api/': ['app.Throttle', '!all']}            ... a regular expression, searched in the path

`!x` excludes the common module x, `!all` all common modules; modules listed for the route itself stay. During a request
only the regular expressions are evaluated, each once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from torngas_aio.exception import ConfigError, Fault
from torngas_aio.pipeline import FAILED, Hook, hooks_of, imported, made, no_hook
from torngas_aio.settings_manager import settings

__all__ = ["MODULE_HOOKS", "BaseHttpModule", "HttpModuleMiddleware"]

_ALL = "!all"
_Declared = str | type


MODULE_HOOKS = {
    "request": "begin_request",
    "render": "begin_render",
    "response": "begin_response",
    "endcall": "complete_response",
}
"""Stage -> the name of a module's method."""

Clear = Callable[[], None]


class BaseHttpModule:
    """A base class of HTTP modules. Hooks are `async def`; one instance serves all requests of the application.

    A true return value ends that stage for the request, `clear()` ends all stages. In all stages modules run in
    declared order, common modules before those of the route.
    """

    before_body = False
    """Whether `begin_request` runs before the request's body is read; accessing the body there raises."""

    depends_on: tuple[object, ...] = ()
    """Classes, or their dotted paths, whose request hooks must run before this one's; checked at start."""

    @no_hook
    async def begin_request(self, handler: Any, clear: Clear) -> object:
        """Run before the handler's method. To skip the method, finish the response and return a true value."""

    @no_hook
    async def begin_render(self, handler: Any, clear: Clear, template_name: str, **kwargs: Any) -> object:
        """Run before a template is rendered."""

    @no_hook
    async def begin_response(self, handler: Any, clear: Clear, chunk: list[bytes]) -> object:
        """Run before the header is sent; change *chunk*, the parts of the body, in place, or call `handler.write()`."""

    @no_hook
    async def complete_response(self, handler: Any, clear: Clear) -> object:
        """Run after the response was sent, or the client has disconnected."""


class HttpModuleMiddleware:
    """The middleware that runs the HTTP modules, at its position in the pipeline.

    Args:
        common: Modules of every matched route; dotted paths or classes. None: settings.COMMON_MODULES.
        by_route: Modules by route name or path expression. None: settings.ROUTE_MODULES.
    """

    def __init__(
        self, common: Sequence[_Declared] | None = None, by_route: Mapping[str, Sequence[_Declared]] | None = None
    ) -> None:
        self._common: tuple[_Declared, ...] = tuple(settings.COMMON_MODULES if common is None else common)
        self._by_route: dict[str, tuple[_Declared, ...]] = {
            key: tuple([modules] if isinstance(modules, str) else modules)
            for key, modules in (settings.ROUTE_MODULES if by_route is None else by_route).items()
        }
        self._hooks: dict[_Declared, dict[str, list[Hook]]] = {}
        self._instances: dict[type, dict[str, list[Hook]]] = {}
        self._pattern_keys: tuple[str, ...] = ()
        self._names: frozenset[str] = frozenset()
        self.path_patterns: tuple[re.Pattern[str], ...] = ()

    def attach(self, route_names: Iterable[str]) -> None:
        """Create one instance of each module class, and separate route names from path expressions.

        Raises:
            ConfigError: A module cannot be imported or is not an HTTP module, an excluded module is not a common one,
                or a key is neither a route name nor an expression; lists all faults.
        """
        faults: list[str] = []
        self._names = frozenset(route_names)
        for module in self._common:
            self._make(module, "COMMON_MODULES", faults)
        for key, modules in self._by_route.items():
            for module in modules:
                self._check(key, module, faults)
        expressions = [key for key in self._by_route if key not in self._names]
        compiled = [_compile_expression(key, faults) for key in expressions]
        ConfigError.gather(faults, code="TGA303")
        self._pattern_keys = tuple(expressions)
        self.path_patterns = tuple(pattern for pattern in compiled if pattern is not None)

    def hooks_for(self, route_name: str | None, matched: frozenset[int]) -> dict[str, list[Hook]]:
        """Return the hooks of the modules for this route and these matched path expressions, by stage."""
        found: dict[str, list[Hook]] = {}
        for module in self.modules_for(route_name, matched):
            for stage, hooks in self._hooks[module].items():
                found.setdefault(stage, []).extend(hooks)
        return found

    def modules_for(self, route_name: str | None, matched: frozenset[int]) -> list[_Declared]:
        """Return the modules, as declared, in order of execution; each once, at its first position."""
        expressions = {self._pattern_keys[index] for index in matched}
        keys = [key for key in self._by_route if key in expressions or (key == route_name and key in self._names)]
        declared = [module for key in keys for module in self._by_route[key]]
        excluded = {module[1:] for module in declared if _is_exclusion(module)}
        common = [] if _ALL in declared else [module for module in self._common if _path(module) not in excluded]
        own = [module for module in declared if not _is_exclusion(module)]
        seen: set[int] = set()
        ordered: list[_Declared] = []
        for module in (*common, *own):
            identity = id(self._hooks[module])
            if identity not in seen:
                seen.add(identity)
                ordered.append(module)
        return ordered

    def _check(self, key: str, module: _Declared, faults: list[str]) -> None:
        place = f"ROUTE_MODULES[{key!r}]"
        if not _is_exclusion(module):
            self._make(module, place, faults)
        elif module != _ALL and module[1:] not in {_path(common) for common in self._common}:
            text = (
                f"{place}: {module!r} takes out a module that COMMON_MODULES does not have. "
                f"Name one of: {', '.join(_path(common) for common in self._common) or 'there is none'}."
            )
            faults.append(Fault(text, path=place, target=module[1:]))

    def _make(self, module: _Declared, place: str, faults: list[str]) -> None:
        if module in self._hooks:
            return
        self._hooks[module] = {}
        found = imported(module, place, faults)
        if found is FAILED:
            return
        if not (isinstance(found, type) and issubclass(found, BaseHttpModule)):
            text = (
                f"{place}: {module!r} is no HTTP module. Name a class that inherits from "
                "torngas_aio.httpmodule.BaseHttpModule."
            )
            faults.append(Fault(text, path=place, target=module if isinstance(module, str) else ""))
            return
        if found not in self._instances:
            self._instances[found] = self._hooks_of(found, place, faults)
        self._hooks[module] = self._instances[found]

    def _hooks_of(self, module_class: type, place: str, faults: list[str]) -> dict[str, list[Hook]]:
        before = len(faults)
        instance = made(module_class, f"{place}: {module_class.__qualname__}", faults)
        if instance is FAILED:
            return {}
        hooks = hooks_of(instance, MODULE_HOOKS, faults)
        if not hooks and len(faults) == before:
            text = f"{place}: {module_class.__qualname__} overrides none of {', '.join(MODULE_HOOKS.values())}."
            faults.append(Fault(text, path=place))
        return hooks


def _is_exclusion(module: _Declared) -> TypeGuard[str]:
    return isinstance(module, str) and module.startswith("!")


def _path(module: _Declared) -> str:
    return module if isinstance(module, str) else f"{module.__module__}.{module.__qualname__}"


def _compile_expression(key: str, faults: list[str]) -> re.Pattern[str] | None:
    place = f"ROUTE_MODULES[{key!r}]"
    if key.isidentifier():
        text = f"{place}: no route has this name. Name a route, or write a path expression such as {'^/' + key!r}."
        faults.append(Fault(text, path=place))
        return None
    try:
        return re.compile(key)
    except re.error as exc:
        faults.append(Fault(f"{place}: neither the name of a route nor a regular expression: {exc}", path=place))
        return None
