"""The decorator that connects a function where it is written. Begin with `receiver`."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from torngas_aio.dispatch.signal import Signal

__all__ = ["receiver"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def receiver(
    signal: Signal | Iterable[Signal],
    *,
    sender: object = None,
    weak: bool = True,
    dispatch_uid: Hashable | None = None,
) -> Callable[[_Function], _Function]:
    """Connect the decorated function to *signal*, or to each of several; the options are `Signal.connect`'s.

    @receiver(call_started)
    async def count(**kwargs): ...
    """
    signals = (signal,) if isinstance(signal, Signal) else tuple(signal)

    def connect(function: _Function) -> _Function:
        for each in signals:
            each.connect(function, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        return function

    return connect
