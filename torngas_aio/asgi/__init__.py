"""The same application behind an ASGI server: uvicorn, granian, hypercorn.

    # in the project, for `uvicorn asgi:application`
    application = get_asgi_application()

    application.py  the ASGI callable        request.py  a scope as a `Request`
    exchange.py     one request's response   body.py     its body, received when it is read
    outbox.py       messages to the server, with back-pressure
    socket.py       a WebSocket

Begin with `get_asgi_application`.
"""

from torngas_aio.asgi.application import AsgiApplication, get_asgi_application

__all__ = ["AsgiApplication", "get_asgi_application"]
