"""The built-in answer to a failed request, made from what the handler knows.

    DEBUG on    source, locals, request, pipeline, routes tried     read in a worker thread
    DEBUG off   404.html, error.html of the template directory, else a short page, problem details or text

Begin with `error_answer`.
"""

import functools
from collections.abc import Mapping
from types import CodeType, TracebackType
from typing import Any

import anyio.to_thread

from torngas_aio.errorpage import ErrorAnswer, render_error, render_error_template, wants_html
from torngas_aio.exception import TemplateNotFound
from torngas_aio.settings_manager import settings

__all__ = ["error_answer"]


async def error_answer(handler: Any, status: int, exc_info: Any, accept: str) -> ErrorAnswer:
    """Return the answer for an error of *handler*.

    Args:
        exc_info: The error as `sys.exc_info()` gives it, None when nobody raised any.
        accept: The media types to choose from.
    """
    if handler._is_debug:
        return await anyio.to_thread.run_sync(_debug_answer, handler, status, exc_info, accept)
    if wants_html(accept):
        render = functools.partial(_render, handler)
        own_page = await render_error_template(render, status=status, reason=handler._reason)
        if own_page is not None:
            return own_page
    return render_error(handler=handler, status=status, reason=handler._reason, exc_info=exc_info, accept=accept)


async def _render(handler: Any, name: str, values: Mapping[str, Any]) -> bytes:
    """Render an error page of the project's; one that is not there is looked for once."""
    absent: set[tuple[Any, str]] = handler.application.absent_pages
    key = (handler._loader_key(), name)
    if key in absent:
        raise TemplateNotFound(f"No template {name!r}.")
    try:
        page: bytes = await handler._render_plain(name, dict(values))
    except TemplateNotFound as exc:
        if name in str(exc):
            absent.add(key)
        raise
    return page


def _debug_answer(handler: Any, status: int, exc_info: Any, accept: str) -> ErrorAnswer:
    pipeline, stages = handler.application.pipeline, handler._run.stages
    return render_error(
        handler=handler,
        status=status,
        reason=handler._reason,
        exc_info=exc_info,
        is_debug=True,
        accept=accept,
        failed_at=_failed_at(pipeline, stages, exc_info),
        pipeline_text=[_line(hook) for hook in pipeline.describe(stages)],
        routes_tried=handler.application.wildcard_router.candidates(handler.request.path) if status == 404 else None,
        settings_view=settings.as_dict(),
    )


def _failed_at(pipeline: Any, stages: Any, exc_info: Any) -> str | None:
    """The hook whose frame is in the traceback; None when the error came from elsewhere."""
    by_code: dict[CodeType, str] = {}
    for hook in pipeline.describe(stages):
        code = getattr(hook.call, "__code__", None)
        if code is not None:
            by_code[code] = _line(hook)
    tb: TracebackType | None = exc_info[2] if exc_info else None
    while tb is not None:
        if tb.tb_frame.f_code in by_code:
            return by_code[tb.tb_frame.f_code]
        tb = tb.tb_next
    return None


def _line(hook: Any) -> str:
    return f"{hook.stage}: {hook}"
