"""Routes, pipelines, sockets and tasks as values for JSON."""

import asyncio
import re
from dataclasses import asdict
from typing import Any

from torngas_aio._project_errors import shortened
from torngas_aio.errorpage.masking import mask_text
from torngas_aio.errorpage.report import masked_url
from torngas_aio.operations.routes import (
    find_route,
    handler_name,
    modules_of,
    pipeline_of,
    place_of,
    sample_path,
    shadowing_route,
)
from torngas_aio.routing import Route
from torngas_aio.utils.narrowing import is_dict, is_list

__all__ = [
    "candidates_report",
    "pipeline_report",
    "route_reports",
    "socket_reports",
    "task_reports",
    "with_short_places",
]

_MAX_TASKS = 200


def route_reports(application: Any) -> list[dict[str, Any]]:
    """Return all routes in matching order."""
    return [_route_report(application, route) for route in application.wildcard_router.routes()]


def _route_report(application: Any, route: Route) -> dict[str, Any]:
    path = sample_path(route)
    shadow = shadowing_route(application, route)
    return {
        "pattern": route.pattern,
        "host": route.host or "",
        "name": route.name or "",
        "handler": handler_name(route),
        "place": place_of(route.handler_class),
        "modules": modules_of(application, route, path),
        "is_foreign": route.is_foreign,
        "shadowed_by": "" if shadow is None else shadow.pattern,
        "sample": path or "",
    }


def pipeline_report(application: Any, wanted: str) -> dict[str, Any]:
    """Return the steps of a request to *wanted*, a path or a route's name.

    Raises:
        UrlError: No route has this name.
    """
    route, path = find_route(application, wanted)
    steps = [asdict(step) for step in pipeline_of(application, route, path)]
    return {"path": path, "pattern": "" if route is None else route.pattern, "steps": steps}


def candidates_report(application: Any, path: str, chosen: str) -> list[dict[str, Any]]:
    """Return the routes most similar to *path*, each with the reason why it matched or not.

    Args:
        chosen: The pattern of the matched route; "" for none.
    """
    router = application.wildcard_router
    taken = next((route for route in router.routes() if chosen and route.pattern == chosen), None)
    likely = [route for route in router.candidates(path, 12) if route is not taken and not _is_operators(route)][:7]
    return [
        {
            "pattern": route.pattern,
            "name": route.name or "",
            "handler": handler_name(route),
            "reason": "taken" if route is taken else _reason(route, path),
            "is_taken": route is taken,
        }
        for route in ([] if taken is None else [taken]) + likely
    ]


def _is_operators(route: Route) -> bool:
    return route.handler_class.__module__.startswith("torngas_aio.operations.")


def _reason(route: Route, path: str) -> str:
    if route.host is not None:
        return f"is for the host {route.host}"
    if re.fullmatch(route.pattern, path):
        return "matches too, and comes later"
    at = _matched_length(route.pattern, path)
    wanted, rest = route.pattern[at[0] :] or "the end", path[at[1] :][:80] or "the end"
    return f"after {path[: at[1]][-80:]} it wants {wanted}, the path has {rest}"


def _matched_length(pattern: str, path: str) -> tuple[int, int]:
    """Return lengths of the longest prefix of *pattern*, cut at a slash, that matches, and of the match in *path*."""
    for end in [found.end() for found in re.finditer("/", pattern)][::-1]:
        try:
            found = re.match(pattern[:end], path[:256])
        except re.error:  # the cut is inside a group
            continue
        if found:
            return end, found.end()
    return 0, 0


def with_short_places(value: Any, name: str = "") -> Any:
    """Return the JSON value *value* with file paths under `place` and `places` shortened."""
    if is_dict(value):
        return {key: with_short_places(each, key) for key, each in value.items()}
    if is_list(value):
        return [with_short_places(each, name) for each in value]
    return shortened(value) if value and name in {"place", "places"} else value


def socket_reports(application: Any) -> list[dict[str, Any]]:
    """Return the open WebSockets."""
    return [
        {
            "handler": f"{type(handler).__module__}.{type(handler).__qualname__}",
            "url": masked_url(handler.request),
            "peer": str(handler.request.remote_ip),
            "seconds": round(handler.request.request_time(), 1),
            "record": getattr(handler.request, "inspected_at", "").partition("#")[2],
        }
        for handler in list(application.open_sockets)
    ]


def task_reports(application: Any) -> list[dict[str, Any]]:
    """Return the tasks of this loop, those of `application.background` first."""
    own = set(application.background)
    reports = [_task_report(task, is_background=task in own) for task in asyncio.all_tasks()]
    return sorted(reports, key=lambda report: (not report["is_background"], report["name"]))[:_MAX_TASKS]


def _task_report(task: asyncio.Task[Any], *, is_background: bool) -> dict[str, Any]:
    stack = task.get_stack(limit=1)
    place = f"{stack[-1].f_code.co_filename}:{stack[-1].f_lineno}" if stack else ""
    coroutine = getattr(task.get_coro(), "__qualname__", "")
    return {
        "name": mask_text(task.get_name()[:200]),
        "coroutine": coroutine,
        "place": place,
        "is_background": is_background,
    }
