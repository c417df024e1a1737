"""The inspector's pages, and the class that adds them to an application.

""                the page                 /events          changes of records, as server-sent events
/inspector.js     its script               /requests/7      one record as JSON
/inspector.css    its style                /routes          routes and what shadows them
                                           /pipeline?of=    the hooks of a path or named route
                                           /state           sockets, tasks and jobs
"""

import linecache
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from torngas_aio._concurrency import run_in_thread
from torngas_aio.application import Application
from torngas_aio.context import enter_request
from torngas_aio.errorpage.masking import mask_text
from torngas_aio.exception import Http404, UrlError
from torngas_aio.handler import ApiHandler, BaseHandler, Event, EventStreamHandler
from torngas_aio.handler.execution import run_handler
from torngas_aio.http.request import Request
from torngas_aio.operations.access import is_own_page
from torngas_aio.operations.inspector.record import INSPECTOR_PATH, Recorder, Records
from torngas_aio.operations.inspector.reports import (
    candidates_report,
    pipeline_report,
    route_reports,
    socket_reports,
    task_reports,
    with_short_places,
)
from torngas_aio.operations.inspector.watches import job_runs, watches
from torngas_aio.operations.observed import observe
from torngas_aio.pipeline import IDLE
from torngas_aio.routing import Resolved
from torngas_aio.utils.numbers import parse_whole

__all__ = ["Inspector", "page_for"]

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "": ("inspector.html", "text/html"),
    "/": ("inspector.html", "text/html"),
    "/inspector.js": ("inspector.js", "text/javascript"),
    "/inspector.css": ("inspector.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class _Page(BaseHandler):
    uses_session = False

    def initialize(self, records: Records) -> None:
        self.records = records

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)

    def _log(self) -> None:
        """Write no access log line for the inspector's own pages."""


class _File(_Page):
    async def get(self, name: str, content_type: str) -> None:
        self.set_header("Content-Type", f"{content_type}; charset=UTF-8")
        self.write(await run_in_thread((_STATIC / name).read_bytes))


class _Events(_Page, EventStreamHandler):
    async def events(self) -> AsyncIterator[Event]:
        is_first = True
        async for records in self.records.changed():
            yield Event([record.as_summary() for record in records], event="all" if is_first else "changed")
            is_first = False


class _Report(_Page, ApiHandler):
    """A page that returns the result of `report`, which runs in a worker thread since it reads files."""

    async def get(self, of: str = "") -> Any:
        return await run_in_thread(lambda: with_short_places(self.report(of)))

    def report(self, of: str) -> Any:
        raise NotImplementedError


class _Request(_Report):
    def report(self, of: str) -> Any:
        number = parse_whole(of, max_digits=15)
        record = None if number is None else self.records.find(number)
        if record is None:
            raise Http404("Only the last requests are kept.")
        found = record.as_details()
        candidates = candidates_report(self.application, found.get("path", ""), found.get("pattern", ""))
        errors = [{**each, "frames": list(map(_with_source, each["frames"]))} for each in found.get("errors", ())]
        return {**found, "candidates": candidates, "errors": errors}


class _Routes(_Report):
    def report(self, of: str) -> Any:
        return route_reports(self.application)


class _Pipeline(_Report):
    def report(self, of: str) -> Any:
        try:
            return pipeline_report(self.application, self.get_argument("of"))
        except UrlError as exc:
            raise Http404(str(exc)) from exc


class _State(_Report):
    async def get(self, of: str = "") -> Any:
        found = {
            "sockets": socket_reports(self.application), "tasks": task_reports(self.application),
            "jobs": list(reversed(job_runs)),
        }  # fmt: skip
        return await run_in_thread(with_short_places, found)  # but tasks are inspected in the loop's thread


class _Absent(_Report):
    def report(self, of: str) -> Any:
        raise Http404("The inspector has no such page.")


_PAGES = {"/events": _Events, "/routes": _Routes, "/pipeline": _Pipeline, "/state": _State}


def page_for(path: str) -> tuple[type[BaseHandler], tuple[bytes, ...]]:
    """Return the handler for *path*, relative to INSPECTOR_PATH, and the arguments of its method."""
    if path in _FILES:
        return _File, tuple(part.encode() for part in _FILES[path])
    if path.startswith("/requests/"):
        return _Request, (path.removeprefix("/requests/").encode(),)
    return _PAGES.get(path, _Absent), ()


def _with_source(frame: dict[str, Any]) -> dict[str, Any]:
    """Return *frame* with its source line, if the file is the project's."""
    source = linecache.getline(frame["file"], frame["line"]).strip()[:500] if frame["is_own"] else ""
    return {**frame, "source": mask_text(source)}


class Inspector:
    """A recorder of the requests of *application*, which also serves `/-/inspector`.

    The inspector's pages run no hooks, so that an access check of the project cannot lock a developer out, and are not
    recorded. Requests of clients that may not see them are passed to the application.

    Args:
        application: An application that serves no request yet.

    Attributes:
        records: The last requests.
    """

    def __init__(self, application: Application) -> None:
        self.records = Records()
        self._application = application
        observe(application, [Recorder(self.records)])
        self._serve = application.serve_request
        application.serve_request = self._serve_or_show  # type: ignore[method-assign]
        application.lifespan.add("the inspector", self._open, self._close)

    def _serve_or_show(self, request: Request) -> Coroutine[Any, Any, None]:
        is_below = f"{request.path}/".startswith(f"{INSPECTOR_PATH}/")
        if not is_below or not is_own_page(request):
            watches.look()
            return self._serve(request)
        enter_request(request)
        handler_class, args = page_for(request.path.removeprefix(INSPECTOR_PATH))
        handler = handler_class(self._application, request, records=self.records)
        return run_handler(handler, IDLE, Resolved(None, args))

    async def _open(self) -> None:
        watches.open()

    async def _close(self) -> None:
        watches.close()
