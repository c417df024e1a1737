"""The five signals stand where the torngas 1.8 document imports them from."""

import torngas_aio.dispatch
from torngas_aio import signal


def test_the_five_signals_and_the_decorator_are_here() -> None:
    names = ["call_started", "handler_started", "handler_render", "handler_response", "call_finished"]
    assert all(isinstance(getattr(signal, name), torngas_aio.dispatch.Signal) for name in names)
    assert signal.receiver is torngas_aio.dispatch.receiver
    assert signal.Signal is torngas_aio.dispatch.Signal
    assert signal.handler_response.providing_args == {"handler", "chunk"}
