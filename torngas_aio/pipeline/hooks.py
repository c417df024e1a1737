"""Hooks: single methods of a middleware or module, found and checked when the application is built."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torngas_aio._names import import_object, without_exit
from torngas_aio._project_errors import import_fault, place_of
from torngas_aio.exception import ConfigError, Fault

__all__ = [
    "FAILED",
    "REVERSED",
    "ROUTE_STAGES",
    "STAGES",
    "Hook",
    "HookCall",
    "hooks_of",
    "imported",
    "made",
    "no_hook",
    "order_faults",
]

STAGES = ("init", "call", "request", "render", "response", "endcall", "exception", "shutdown")
"""Every stage in the order of a request; a middleware's hook is named `process_` and the stage's name."""

REVERSED = frozenset({"render", "response", "endcall", "exception", "shutdown"})
"""Stages that run from the last declared middleware to the first."""

ROUTE_STAGES = ("request", "render", "response", "endcall", "exception")

FAILED = object()
"""Returned for an invalid declaration whose fault was recorded."""

HookCall = Callable[..., Awaitable[object]]
_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Hook:
    """One coroutine function that runs at one stage.

    Attributes:
        stage: One of `STAGES`.
        owner: The declared class; the function may be inherited from another.
        name: The method's name, such as "process_request" or "begin_request".
        call: The bound coroutine function.
        before_body: Whether a request hook runs before the request's body is read.
        depends_on: Classes whose request hooks must run before this one.
    """

    stage: str
    owner: type
    name: str
    call: HookCall
    before_body: bool = False
    depends_on: tuple[type, ...] = ()

    @property
    def location(self) -> str:
        """File and line of the function, "?" if it has no Python source."""
        return _location(self.call)

    def __str__(self) -> str:
        return f"{self.owner.__module__}.{self.owner.__qualname__}.{self.name}"


def no_hook(function: _F) -> _F:
    """Mark a base class's method as a placeholder, which does not count as a hook in subclasses."""
    function.__dict__["is_no_hook"] = True
    return function


def hooks_of(instance: object, names: Mapping[str, str], faults: list[str]) -> dict[str, list[Hook]]:
    """Return the hooks of *instance*, by stage.

    Args:
        names: Stage -> method name, such as {"request": "process_request"}.
        faults: A sentence is added for each method that is not `async def`, or has the wrong parameters.
    """
    hooks: dict[str, list[Hook]] = {}
    for stage, name in names.items():
        function = getattr(instance, name, None)
        if function is None or getattr(function, "is_no_hook", False):
            continue
        owner = instance if isinstance(instance, type) else type(instance)
        if not _is_async(function):
            faults.append(
                f"{owner.__module__}.{owner.__qualname__}.{name} ({_location(function)}) is not a coroutine function. "
                "Every hook is awaited: make it `async def`."
            )
            continue
        if not _accepts(function, _ARGUMENTS[stage]):
            faults.append(
                f"{owner.__module__}.{owner.__qualname__}.{name} ({_location(function)}) takes the wrong arguments: "
                f"write `async def {name}(self, {', '.join(_ARGUMENTS[stage])})`."
            )
            continue
        hooks[stage] = [_hook(stage, owner, name, function, faults)]
    return hooks


def _hook(stage: str, owner: type, name: str, function: HookCall, faults: list[str]) -> Hook:
    if stage != "request":
        return Hook(stage, owner, name, function)
    instance = getattr(function, "__self__", owner)
    before_body = bool(getattr(function, "before_body", getattr(instance, "before_body", False)))
    place = f"{owner.__module__}.{owner.__qualname__}.depends_on"
    found = [imported(declared, place, faults) for declared in getattr(instance, "depends_on", ())]
    classes = tuple(cls for cls in found if isinstance(cls, type))
    faults += [f"{place}: {cls!r} is not a class." for cls in found if cls is not FAILED and not isinstance(cls, type)]
    return Hook(stage, owner, name, function, before_body, classes)


def order_faults(hooks: Sequence[Hook]) -> Iterator[str]:
    """Yield a sentence for each request hook that would run before one that it depends on.

    Args:
        hooks: Request hooks in the order in which they run.
    """
    for index, hook in enumerate(hooks):
        for other in hooks[index + 1 :]:
            if other.owner is not hook.owner and issubclass(other.owner, hook.depends_on):
                yield f"{hook} depends on {other}, which runs after it. " + (
                    f"{hook.name} runs before the body is read: set `before_body = True` on {other.owner.__qualname__} "
                    f"too, or `before_body = False` on {hook.owner.__qualname__}."
                    if hook.before_body and not other.before_body
                    else f"Declare {other.owner.__qualname__} before {hook.owner.__qualname__}."
                )


_ARGUMENTS = {
    "init": ("application",),
    "call": ("request", "clear"),
    "request": ("handler", "clear"),
    "render": ("handler", "clear", "template_name", "**kwargs"),
    "response": ("handler", "clear", "chunk"),
    "endcall": ("handler", "clear"),
    "exception": ("handler", "clear", "typ", "value", "tb"),
    "shutdown": ("application",),
}
"""Arguments of each stage's hook; all positional except those after `**`."""


def _accepts(function: HookCall, arguments: Sequence[str]) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a callable without a known signature
        return True
    try:
        signature.bind(*(name for name in arguments if not name.startswith("**")))
    except TypeError:
        return False
    return True


def imported(declared: object, place: str, faults: list[str]) -> object:
    """Return the object at the dotted path *declared*; *declared* itself if it is not a string.

    Args:
        place: The setting that declares it.
        faults: A sentence is added if it cannot be imported; `FAILED` is returned then.
    """
    if not isinstance(declared, str):
        return declared
    try:
        return import_object(declared)
    except Exception as exc:  # noqa: BLE001  importing runs the project's code, which may raise anything
        faults.append(import_fault(exc, place, declared, "Check the spelling.").with_(path=place))
        return FAILED


def made(owner: type, title: str, faults: list[str]) -> object:
    """Return an instance of *owner*, a middleware's or module's class.

    Args:
        title: The setting and the declared name, for the message.
        faults: A sentence is added if it cannot be created; `FAILED` is returned then.
    """
    try:
        return without_exit(owner)
    except ConfigError as exc:  # raised by the class for its own settings
        faults += exc.faults
    except Exception as exc:  # noqa: BLE001  a constructor may raise anything; it is reported
        place = place_of(exc)
        text = f"{place and f'{place}: '}{title} cannot be made without arguments: {exc!r}"
        faults.append(Fault(text, target=f"{owner.__module__}.{owner.__qualname__}"))
    return FAILED


def _is_async(function: HookCall) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _location(function: HookCall) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
