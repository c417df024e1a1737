"""Handlers: what a route names, each a `tornado.web.RequestHandler` that awaits its hooks.

    WebHandler         pages, redirects, errors        ApiHandler         JSON, JSONP, problem details
    WebSocketHandler   sockets behind the same guards  StaticFileHandler  files of a directory
    EventStreamHandler server-sent events
    ErrorHandler       addresses that lead nowhere   BaseHandler        what all of them have in common

Inside, one noun a file: `lifecycle` (the states of a response), `response` (what is answered) < `sending` <
`completing` (when) < `execution` (the walk) < `web`; `receiving` reads the body, `time_limit` ends what takes too long,
`recovery` answers errors. Files are sent by `static` and `downloads` (`send_file`), parts of them by `ranges`;
`mounted` runs the applications of other frameworks.
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
