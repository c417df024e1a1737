"""Signals: notifications of events to connected receivers.

    connect ──> entries (an immutable tuple) ──> the live ones that match the sender ──> called as

                                                 receiver(signal=…, sender=…, **named)

Plain receivers are called in order, async ones concurrently.
"""

import asyncio
import inspect
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from types import MethodType
from typing import Any, TypeVar

from torngas_aio.exception import ArgumentError, NotCallableError
from torngas_aio.logger.outages import OutageLog

__all__ = ["Receiver", "Responses", "Signal", "receiver"]

_outages = OutageLog(logging.getLogger("torngas_aio.dispatch"))

_Held = TypeVar("_Held")

Receiver = Callable[..., object]
Responses = list[tuple[Receiver, Any]]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One connection. *receiver* and *sender* are called to get the object; None if it is dead."""

    key: Hashable
    receiver: Callable[[], Receiver | None]
    sender: Callable[[], object] | None


class Signal:
    """A signal and its connected receivers.

    Connecting is safe from any thread; sending must be done in the loop.

    Args:
        providing_args: Names of the arguments of `send`, as documentation.
        use_caching: Accepted for compatibility with torngas 1.8; ignored.
    """

    def __init__(self, providing_args: Iterable[str] | None = None, use_caching: bool = False) -> None:
        self.providing_args = frozenset(providing_args or ())
        self._entries: tuple[_Entry, ...] = ()
        self._lock = threading.RLock()  # a finalizer may disconnect while this thread connects

    def connect(
        self, receiver: Receiver, sender: object = None, weak: bool = True, dispatch_uid: Hashable | None = None
    ) -> None:
        """Connect *receiver*, to be called at each `send`; if it is connected already, nothing changes.

        Args:
            receiver: A plain function, a coroutine function, or a bound method; accepts `**kwargs`.
            sender: Only call it for this object as the sender; None for all.
            weak: Hold the receiver weakly: a lambda or local function without another reference is dropped at once.
            dispatch_uid: Identifies the receiver, instead of its id, when checking whether it is connected already.

        Raises:
            NotCallableError: *receiver* cannot be called.
            ArgumentError: Its signature does not accept the arguments of a signal.
        """
        _check_signature(receiver)
        key = _key_of(receiver, sender, dispatch_uid)
        drop = self._dropper(key)
        entry = _Entry(key, _reference_to(receiver, weak, drop), None if sender is None else _reference(sender, drop))
        with self._lock:
            live = tuple(each for each in self._entries if each.receiver() is not None)
            if all(each.key != key for each in live):
                self._entries = (*live, entry)

    def disconnect(
        self, receiver: Receiver | None = None, sender: object = None, dispatch_uid: Hashable | None = None
    ) -> bool:
        """Disconnect *receiver*; return whether it had been connected with this sender or `dispatch_uid`.

        Raises:
            ArgumentError: Neither *receiver* nor *dispatch_uid* is given.
        """
        if receiver is None and dispatch_uid is None:
            raise ArgumentError("disconnect() needs the receiver, or the dispatch_uid that it was connected with.")
        return self._drop(_key_of(receiver, sender, dispatch_uid))

    def has_listeners(self, sender: object = None) -> bool:
        """Return whether a `send` by *sender* would reach any receiver."""
        return bool(self._entries) and bool(self._live(_declared_sender(sender)))

    async def send(self, sender: object, **named: Any) -> Responses:
        """Call every receiver, and return each with its result, in the order in which they were connected.

        Plain receivers run first, in that order; async ones then run concurrently. The first error stops it:
        the other async receivers are cancelled and awaited, then it is raised; further errors are logged.
        """
        sender = _declared_sender(sender)
        receivers = self._live(sender)
        if not receivers:
            return []
        results: list[object] = []
        try:
            results.extend(receiver(signal=self, sender=sender, **named) for receiver in receivers)
        except BaseException:
            _drop_unstarted(results)
            raise
        await _settle(results)
        return list(zip(receivers, results, strict=True))

    async def send_robust(self, sender: object, **named: object) -> Responses:
        """Call every receiver independently; an error is logged and returned in place of the result."""
        sender = _declared_sender(sender)
        receivers = self._live(sender)
        calls = [_call_safely(receiver, {"signal": self, "sender": sender, **named}) for receiver in receivers]
        results: list[object] = [*calls]
        await _settle(results)
        return list(zip(receivers, results, strict=True))

    def _live(self, sender: object) -> list[Receiver]:
        found: list[Receiver] = []
        for entry in self._entries:
            if entry.sender is None or (sender is not None and entry.sender() is sender):
                receiver = entry.receiver()
                if receiver is not None:
                    found.append(receiver)
        return found

    def _dropper(self, key: Hashable) -> Callable[[object], None]:
        this = weakref.ref(self)

        def drop(_: object) -> None:
            signal = this()
            if signal is not None:
                signal._drop(key)

        return drop

    def _drop(self, key: Hashable) -> bool:
        with self._lock:
            kept = tuple(entry for entry in self._entries if entry.key != key)
            was_there = len(kept) < len(self._entries)
            self._entries = kept
        return was_there


def _declared_sender(sender: object) -> object:
    """Return *sender*, or the class that it was derived from: observed handlers are of a generated subclass."""
    return vars(sender).get("declared_class", sender) if isinstance(sender, type) else sender


async def _call_safely(receiver: Receiver, arguments: dict[str, object]) -> object:
    try:
        result = receiver(**arguments)
        return await result if inspect.isawaitable(result) else result
    except Exception as exc:  # noqa: BLE001  # a boundary: an error of one receiver must not affect the others
        _outages.report_error(exc, "A receiver of %r failed: %s", arguments["signal"], _describe(receiver))
        return exc


async def _settle(results: list[object]) -> None:
    """Replace each awaitable in *results* by its result, running several concurrently."""
    waiting = {index: result for index, result in enumerate(results) if inspect.isawaitable(result)}
    if len(waiting) == 1:  # PERF: no task and no group for the usual single receiver
        [(index, result)] = waiting.items()
        results[index] = await result
        return
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {index: group.create_task(_await_answer(result)) for index, result in waiting.items()}
    except BaseExceptionGroup as errors:
        first, *others = errors.exceptions
        for other in others:
            _outages.report_error(other, "Another receiver failed as well.")
        raise first from None
    for index, task in tasks.items():
        results[index] = task.result()


async def _await_answer(result: Awaitable[object]) -> object:
    return await result


def _drop_unstarted(results: Iterable[object]) -> None:
    for result in results:
        if inspect.iscoroutine(result):
            result.close()
        elif isinstance(result, asyncio.Future):
            result.cancel()


def _check_signature(receiver: Receiver) -> None:
    if not callable(receiver):
        raise NotCallableError(f"A signal's receiver must be callable, not {receiver!r}.")
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except ValueError:  # a builtin without a known signature
        return
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
        raise ArgumentError(
            f"{_describe(receiver)} cannot be a receiver: it does not take **kwargs. "
            "A signal sends signal=, sender= and any other arguments, now or later."
        )
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise ArgumentError(
                f"{_describe(receiver)} cannot be a receiver: {parameter.name!r} is positional only, "
                "and a signal sends everything by name."
            )


def _key_of(receiver: object, sender: object, dispatch_uid: Hashable | None) -> Hashable:
    if dispatch_uid is not None:
        return ("uid", dispatch_uid, id(sender))
    if isinstance(receiver, MethodType):
        return (id(receiver.__self__), id(receiver.__func__), id(sender))
    return (id(receiver), None, id(sender))


def _reference_to(receiver: Receiver, weak: bool, drop: Callable[[object], None]) -> Callable[[], Receiver | None]:
    if not weak:
        return lambda: receiver
    if isinstance(receiver, MethodType):
        return weakref.WeakMethod(receiver, drop)
    return _reference(receiver, drop)


def _reference(held: _Held, drop: Callable[[object], None]) -> Callable[[], _Held | None]:
    try:
        return weakref.ref(
            held, drop
        )  # dropped with its entry, so that a new object with the same id is not confused with it
    except TypeError:  # no weak references, such as a string or a builtin: held strongly
        return lambda: held


def _describe(receiver: object) -> str:
    code = getattr(receiver, "__code__", None) or getattr(getattr(receiver, "__func__", None), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"{getattr(receiver, '__module__', '?')}.{getattr(receiver, '__qualname__', repr(receiver))}{place}"


_Function = TypeVar("_Function", bound=Callable[..., object])


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
