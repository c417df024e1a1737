"""`Server-Timing`: where the time of a request went, for the browser's network view; with DEBUG on.

    Server-Timing: hooks;dur=0.21, method;dur=4.02, render;dur=1.77, total;dur=6.31

Stages that come after the header (send, endcall hooks) cannot be in it. Begin with `ServerTiming`.
"""

from time import perf_counter

from torngas_aio.operations.observing import Observation, Observer, Stage

__all__ = ["ServerTiming"]


class ServerTiming(Observer):
    """Adds the header to each answer."""

    adds_fields = True

    def stage_ended(self, observation: Observation, stage: Stage) -> None:
        if stage.name != "hook":  # those are in `hooks`
            times: dict[str, float] = observation.notes.setdefault(self, {})
            times[stage.name] = times.get(stage.name, 0.0) + stage.own_seconds

    def head_fields(self, observation: Observation) -> dict[str, str]:
        now, times = perf_counter(), dict(observation.notes.get(self, {}))
        stage = observation.stage
        while stage is not None:  # those that go on: a method that awaits its `finish()`
            times[stage.name] = times.get(stage.name, 0.0) + stage.own_seconds_until(now)
            now, stage = stage.started, stage.outer
        times["total"] = perf_counter() - observation.started
        return {"Server-Timing": ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in times.items())}
