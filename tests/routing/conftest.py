"""Tables for two routers, Tornado's and ours, and what each answers for a request."""

from typing import Any

import pytest
from tornado import web
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest, RequestStartLine

from torngas_aio.routing import ApplicationRouter


class Answer(HTTPMessageDelegate):
    """What a router asked the application for."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class RecordingApplication(web.Application):
    """Answers with what it was asked for, instead of a delegate that runs the handler."""

    def get_handler_delegate(self, request: Any, target_class: Any, *args: Any, **kwargs: Any) -> Any:
        target_kwargs, path_args, path_kwargs = (*args, None, None, None)[:3]
        return Answer(
            target_class,
            kwargs.get("target_kwargs") or target_kwargs or {},
            list(kwargs.get("path_args") or path_args or []),
            dict(kwargs.get("path_kwargs") or path_kwargs or {}),
        )


def request_for(path: str, host: str = "example.org", **headers: str) -> HTTPServerRequest:
    return HTTPServerRequest(
        start_line=RequestStartLine("GET", path, "HTTP/1.1"),
        headers=HTTPHeaders({"Host": host, **headers}),
        connection=HTTPConnection(),
    )


def handler(name: str) -> type[web.RequestHandler]:
    return type(name, (web.RequestHandler,), {})


def answer(router: Any, request: HTTPServerRequest) -> Any:
    found = router.find_handler(request)
    return found.parts if isinstance(found, Answer) else found


@pytest.fixture
def application() -> RecordingApplication:
    return RecordingApplication()


@pytest.fixture
def router(application: RecordingApplication) -> ApplicationRouter:
    return ApplicationRouter(application)
