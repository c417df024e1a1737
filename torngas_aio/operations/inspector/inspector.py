"""What makes an application one that is inspected. Begin with `Inspector`."""

from collections.abc import Coroutine
from typing import Any

from torngas_aio.application import Application
from torngas_aio.context import enter_request
from torngas_aio.handler.execution import serve
from torngas_aio.http.request import Request
from torngas_aio.operations.access import is_own_page
from torngas_aio.operations.inspector.pages import page_for
from torngas_aio.operations.inspector.record import Records
from torngas_aio.operations.inspector.recorder import INSPECTOR_PATH, Recorder
from torngas_aio.operations.inspector.watches import watches
from torngas_aio.operations.observed import observe
from torngas_aio.pipeline import IDLE

__all__ = ["Inspector"]


class Inspector:
    """Records the requests of *application* from now on, and answers `/-/inspector` in its place.

    Its own pages run no hooks, so that no guard of the project shuts a developer out, and are not recorded. To who may
    not see them the application answers, as to any other address.

    Args:
        application: One that serves no request yet.

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
        return serve(handler, IDLE, args, {})

    async def _open(self) -> None:
        watches.open()

    async def _close(self) -> None:
        watches.close()
