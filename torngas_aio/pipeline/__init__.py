"""The pipeline: which hooks run for a request, in which order.

    call > route > request > handler > render > response > endcall
    an exception in any of them > exception; endcall runs in every case

Hooks are found and checked once, when the application is built, and kept in flat tuples of bound coroutine
functions, one set of tuples per route; a request only iterates over them. A stage without hooks is an empty tuple.

    hooks.py     Hook: one method of a middleware or module, found and checked
    compiled.py  Pipeline: call, init and shutdown hooks; RouteStages: the hooks of one route
    run.py       PipelineRun: the state of one request: which stages were ended, which response hooks have run

Begin with `Pipeline`.
"""

from torngas_aio.pipeline.compiled import Pipeline, RouteAware
from torngas_aio.pipeline.hooks import FAILED, ROUTE_STAGES, STAGES, Hook, HookCall, hooks_of, imported, made, no_hook
from torngas_aio.pipeline.run import IDLE, NOTHING, PipelineRun, RouteStages

__all__ = [
    "FAILED",
    "IDLE",
    "NOTHING",
    "ROUTE_STAGES",
    "STAGES",
    "Hook",
    "HookCall",
    "Pipeline",
    "PipelineRun",
    "RouteAware",
    "RouteStages",
    "hooks_of",
    "imported",
    "made",
    "no_hook",
]
