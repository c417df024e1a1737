"""The five signals of a request, sent by `torngas_aio.middleware.signal.SignalMiddleware`.

    signal              stage              sender                also sends
    call_started        process_call       HTTPServerRequest     request
    handler_started     process_request    the handler's class   handler
    handler_render      process_render     the handler's class   handler template_name namespace
    handler_response    process_response   the handler's class   handler chunk
    call_finished       process_endcall    the handler's class   handler

Each is a `torngas_aio.dispatch.Signal`.
"""

from torngas_aio.dispatch import Signal, receiver

__all__ = [
    "Signal",
    "call_finished",
    "call_started",
    "handler_render",
    "handler_response",
    "handler_started",
    "receiver",
]

call_started = Signal(providing_args=["request"])
"""A request's headers have arrived; no route is matched yet."""

handler_started = Signal(providing_args=["handler"])
"""A route is matched; its method has not run."""

handler_render = Signal(providing_args=["handler", "template_name", "namespace"])
"""A template is about to be rendered; `namespace` holds its arguments."""

handler_response = Signal(providing_args=["handler", "chunk"])
"""The response is about to be sent; `chunk` is the list of its body parts."""

call_finished = Signal(providing_args=["handler"])
"""The response was sent."""
