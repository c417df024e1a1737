"""Handlers: what a route names, each a `tornado.web.RequestHandler` that awaits its hooks.

    WebHandler         pages, redirects, errors        ApiHandler         JSON, JSONP, problem details
    WebSocketHandler   sockets behind the same guards  StaticFileHandler  files of a directory
    EventStreamHandler server-sent events
    ErrorHandler       addresses that lead nowhere   BaseHandler        what all of them have in common

Modules:

    web.py            `BaseHandler`, `WebHandler`         api.py            `ApiHandler`: JSON, problem details
      response.py       status, headers and body            replies.py        values with a status and headers
      sending.py        hands a response to the server    websocket.py      `WebSocketHandler`
      completing.py     when a response is completed        joining.py        which sockets have joined a channel
      completion.py     what `finish()` returns           events.py         `EventStreamHandler`
      lifecycle.py      the states of a response          error.py          `ErrorHandler`
    execution.py      hooks, method, response, in order   static.py         `StaticFileHandler`
      stepping.py       the rest of a started coroutine     static_files.py   headers, content and open files
      receiving.py      the request's body                  downloads.py      `send_file`
      time_limit.py     `request_timeout`                   ranges.py         parts of files
      recovery.py       failed and cancelled requests     mounted.py        ASGI applications behind a route
      failure.py        the built-in error pages            mounted_exchange.py  what they receive and send
    compression.py    `compress_response`                 ui_modules.py     UI methods and modules in templates
    placeholders.py   a project without session or flash

`BaseHandler` inherits from the classes of `execution`, `completing`, `sending` and `response`, in this order. Begin
with `execution.py`.
"""

from torngas_aio.handler.api import ApiHandler
from torngas_aio.handler.completion import Completion
from torngas_aio.handler.error import ErrorHandler
from torngas_aio.handler.events import Event, EventStreamHandler
from torngas_aio.handler.static import StaticFileHandler
from torngas_aio.handler.web import BaseHandler, WebHandler
from torngas_aio.handler.websocket import WebSocketHandler

__all__ = [
    "ApiHandler",
    "BaseHandler",
    "Completion",
    "ErrorHandler",
    "Event",
    "EventStreamHandler",
    "StaticFileHandler",
    "WebHandler",
    "WebSocketHandler",
]
