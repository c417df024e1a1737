"""Request handlers: each is a `tornado.web.RequestHandler` that awaits its hooks.

    WebHandler         pages, redirects, errors        ApiHandler         JSON, JSONP, problem details
    WebSocketHandler   sockets behind the same hooks   StaticFileHandler  files of a directory
    EventStreamHandler server-sent events
    ErrorHandler       unknown URLs                    BaseHandler        the common base class

Modules:

    web.py            `BaseHandler`, `WebHandler`         api.py            `ApiHandler`: JSON, problem details
    response.py       status, headers, cookies, body      websocket.py      `WebSocketHandler`
      cookies.py        cookies of the response             joining.py        sockets that have joined a channel
      lifecycle.py      the states of a response          events.py         `EventStreamHandler`
      sending.py        sending a response                error.py          `ErrorHandler`
      completing.py     when a response is completed      static.py         `StaticFileHandler`
    execution.py      hooks, method, response, in order   static_files.py   headers, content and open files
      receiving.py      the request's body                downloads.py      `send_file`
      time_limit.py     `request_timeout`                 ranges.py         parts of files
      recovery.py       failed and cancelled requests   mounted.py        ASGI applications behind a route
      failure.py        the built-in error pages          mounted_exchange.py  their requests and responses
    rendering.py      pages; UI methods and modules     placeholders.py   a project without session or flash
    compression.py    `compress_response`               foreign.py        requests for plain Tornado's handlers
    host.py           the handlers' view of the application

`ResponseHandler` holds the response; `BaseHandler` inherits from it, and adds what projects call and override. The rest
are functions of a handler, each module on those before it:

    response > sending > recovery > completing > web > execution

Begin with `execution.py`.
"""

from torngas_aio.handler.api import ApiHandler
from torngas_aio.handler.completing import Completion
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
