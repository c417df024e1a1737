"""Who is told of a signal, in which order, and what a failing receiver does."""

import asyncio
import gc
import logging
import threading
from typing import Any

import pytest

from torngas_aio.dispatch import Signal, receiver
from torngas_aio.exception import ArgumentError, NotCallableError


class Sender:
    pass


class Recorder:
    """Receivers that write down what they were told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def plain(self, **kwargs: Any) -> str:
        self.told.append(kwargs)
        return "plain"

    async def asynchronous(self, **kwargs: Any) -> str:
        await asyncio.sleep(0)
        self.told.append(kwargs)
        return "async"


async def test_a_receiver_is_told_signal_sender_and_arguments() -> None:
    event = Signal(providing_args=["price"])
    recorder = Recorder()
    event.connect(recorder.plain)
    assert await event.send(Sender, price=3) == [(recorder.plain, "plain")]
    assert recorder.told == [{"signal": event, "sender": Sender, "price": 3}]
    assert event.providing_args == {"price"}


async def test_the_torngas_1_8_document_sends_with_sender_by_name() -> None:
    event = Signal(providing_args=["args1"])
    recorder = Recorder()
    event.connect(recorder.asynchronous)
    await event.send(sender=recorder.__class__, args1="arg")
    assert recorder.told == [{"signal": event, "sender": Recorder, "args1": "arg"}]


async def test_nobody_listening_is_no_error() -> None:
    event = Signal()
    assert not event.has_listeners()
    assert await event.send(None) == []
    assert await event.send_robust(None) == []


async def test_answers_stand_in_the_order_of_connecting() -> None:
    event = Signal()
    recorder = Recorder()

    async def slow(**kwargs: Any) -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        return "slow"

    event.connect(slow)
    event.connect(recorder.plain)
    event.connect(recorder.asynchronous)
    expected = [(slow, "slow"), (recorder.plain, "plain"), (recorder.asynchronous, "async")]
    assert await event.send(None) == expected
    assert await event.send_robust(None) == expected


async def test_async_receivers_run_together() -> None:
    event = Signal()
    here, there = asyncio.Event(), asyncio.Event()

    async def first(**kwargs: Any) -> None:
        here.set()
        await there.wait()

    async def second(**kwargs: Any) -> None:
        there.set()
        await here.wait()

    event.connect(first)
    event.connect(second)
    assert len(await event.send(None)) == 2


async def test_a_sender_filter_lets_that_very_sender_through() -> None:
    event = Signal()
    recorder = Recorder()
    event.connect(recorder.plain, sender=Sender)
    await event.send(Recorder)
    await event.send(None)
    assert recorder.told == []
    assert event.has_listeners(Sender)
    assert not event.has_listeners(Recorder)
    assert not event.has_listeners()
    await event.send(Sender)
    assert len(recorder.told) == 1


async def test_a_sender_that_cannot_be_watched_is_held() -> None:
    event = Signal()
    recorder = Recorder()
    name = "by-name"
    event.connect(recorder.plain, sender=name)
    assert len(await event.send(name)) == 1
    assert await event.send("other") == []


def test_a_receiver_that_is_gone_is_forgotten() -> None:
    event = Signal()

    def connect_local() -> None:
        def local(**kwargs: Any) -> None: ...

        recorder = Recorder()
        event.connect(local)
        event.connect(recorder.plain)
        assert event.has_listeners()

    connect_local()
    gc.collect()
    assert not event.has_listeners()
    assert event._entries == ()


def test_a_strongly_held_receiver_stays() -> None:
    event = Signal()
    event.connect(lambda **kwargs: None, weak=False)
    event.connect(Recorder().plain, weak=False)
    gc.collect()
    assert len(event._live(None)) == 2


def test_the_entry_of_a_sender_that_is_gone_goes_with_it() -> None:
    event = Signal()
    recorder = Recorder()
    sender = Sender()
    event.connect(recorder.plain, sender=sender)
    del sender
    gc.collect()
    assert event._entries == ()


def test_a_signal_that_is_gone_leaves_its_receivers_alone() -> None:
    recorder = Recorder()
    event = Signal()
    event.connect(recorder.plain)
    del event
    gc.collect()
    assert recorder.plain() == "plain"


def test_connecting_twice_is_connecting_once() -> None:
    event = Signal()
    recorder = Recorder()
    for _ in range(3):
        event.connect(recorder.plain)
        event.connect(recorder.asynchronous, dispatch_uid="mail")
        event.connect(Recorder.plain.__get__(recorder), dispatch_uid="mail")
    assert event._live(None) == [recorder.plain, recorder.asynchronous]
    event.connect(recorder.plain, sender=Sender)
    assert len(event._live(Sender)) == 3


def test_disconnecting_says_whether_there_was_something() -> None:
    event = Signal()
    recorder = Recorder()
    event.connect(recorder.plain)
    event.connect(recorder.asynchronous, sender=Sender, dispatch_uid="mail")
    assert event.disconnect(recorder.plain)
    assert not event.disconnect(recorder.plain)
    assert not event.disconnect(dispatch_uid="mail")
    assert event.disconnect(sender=Sender, dispatch_uid="mail")
    assert not event.has_listeners(Sender)
    with pytest.raises(ArgumentError, match="needs the receiver"):
        event.disconnect()


async def test_an_error_of_a_plain_receiver_stops_before_anything_async_began() -> None:
    event = Signal()
    recorder = Recorder()

    def future(**kwargs: Any) -> asyncio.Future[None]:
        made.append(asyncio.get_running_loop().create_future())
        return made[0]

    def failing(**kwargs: Any) -> None:
        raise ValueError("no")

    made: list[asyncio.Future[None]] = []
    event.connect(recorder.asynchronous)
    event.connect(future)
    event.connect(failing)
    event.connect(recorder.plain)
    with pytest.raises(ValueError, match="no"):
        await event.send(None)
    assert recorder.told == []
    assert made[0].cancelled()


async def test_an_error_of_an_async_receiver_cancels_and_awaits_its_siblings(caplog: pytest.LogCaptureFixture) -> None:
    event = Signal()
    ended: list[str] = []
    waiting = asyncio.Event()

    async def failing(**kwargs: Any) -> None:
        await waiting.wait()
        raise ValueError("first")

    async def sibling(**kwargs: Any) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("sibling")

    async def bad_loser(**kwargs: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("second")

    event.connect(failing)
    event.connect(sibling)
    event.connect(bad_loser)
    with pytest.raises(ValueError, match="first"):
        await event.send(None)
    assert ended == ["sibling"]
    assert "Another receiver failed as well." in caplog.text


async def test_a_sending_that_is_cancelled_leaves_no_receiver_behind() -> None:
    event = Signal()
    begun, ended = asyncio.Event(), []

    async def waits(**kwargs: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def waits_too(**kwargs: Any) -> None:
        await waits()

    event.connect(waits)
    event.connect(waits_too)
    for send in (event.send, event.send_robust):
        begun.clear()
        task = asyncio.create_task(send(None))
        await begun.wait()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(ended) == 4


async def test_send_robust_runs_all_and_returns_and_logs_the_errors(caplog: pytest.LogCaptureFixture) -> None:
    event = Signal()
    recorder = Recorder()

    def failing(**kwargs: Any) -> None:
        raise ValueError("plain")

    async def failing_too(**kwargs: Any) -> None:
        raise KeyError("async")

    event.connect(failing)
    event.connect(failing_too)
    event.connect(recorder.plain)
    event.connect(recorder.asynchronous)
    with caplog.at_level(logging.ERROR, "torngas_aio.dispatch"):
        answers = [answer for _, answer in await event.send_robust(None)]
    assert isinstance(answers[0], ValueError)
    assert isinstance(answers[1], KeyError)
    assert answers[2:] == ["plain", "async"]
    assert "failing (" in caplog.text
    assert "test_dispatch.py:" in caplog.text


def only_some(signal: object, sender: object) -> None: ...
def positional(name: object, /, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "says"), [(only_some, "does not take \\*\\*kwargs"), (positional, "positional only")]
)
def test_a_receiver_with_a_wrong_signature_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        Signal().connect(wrong)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(NotCallableError, match="must be callable, not 3"):
        Signal().connect(3)  # type: ignore[arg-type]


async def test_builtins_and_classes_can_receive() -> None:
    event = Signal()
    event.connect(dict)
    assert await event.send(None, a=1) == [(dict, {"signal": event, "sender": None, "a": 1})]


@pytest.fixture
def two_signals() -> tuple[Signal, Signal]:
    return Signal(), Signal()


async def test_the_decorator_connects_to_one_signal_or_to_several(two_signals: tuple[Signal, Signal]) -> None:
    one, two = two_signals

    class Service:
        @receiver(one)
        def callback(**kwargs: Any) -> str:  # as the torngas 1.8 document writes it
            return "service"

    @receiver([one, two], sender=Sender, dispatch_uid="both")
    async def both(**kwargs: Any) -> str:
        return "both"

    assert [answer for _, answer in await one.send(Sender)] == ["service", "both"]
    assert await two.send(Sender) == [(both, "both")]
    assert await two.send(None) == []
    assert Service.callback() == "service"


def test_connecting_from_many_threads_loses_nobody() -> None:
    event = Signal()
    recorders = [Recorder() for _ in range(200)]
    gate = threading.Barrier(8)

    def connect(part: list[Recorder]) -> None:
        gate.wait()
        for recorder in part:
            event.connect(recorder.plain)

    threads = [threading.Thread(target=connect, args=(recorders[number::8],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(event._live(None)) == 200
