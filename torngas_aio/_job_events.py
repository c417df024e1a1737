"""Events of jobs in this process, for observers: metrics and the inspector.

    enqueue ── sent ──► enqueued ··· started ──► succeeded
                                        ├──────► failed ──► retried, or dead
                                        └──────► given back (its worker stops)

Without listeners no events are created.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["JobEvent", "job_listeners", "tell_jobs"]

logger = logging.getLogger("torngas_aio.jobs")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job.

    Attributes:
        kind: One of those above.
        name: The declared name of the job; "" for a message of an undeclared one.
        id: The message's id.
        queue: The queue.
        attempt: 0 for the first.
        seconds: Duration of the attempt, for `succeeded`, `failed` and `given back`.
        error: The exception of the attempt, for `failed`.
        key: For `enqueued`; also `arguments`, by parameter names; may be secret.
    """

    kind: str
    name: str
    id: str
    queue: str
    attempt: int = 0
    seconds: float = 0.0
    error: BaseException | None = None
    key: str = ""
    arguments: Mapping[str, Any] | None = None


job_listeners: list[Callable[[JobEvent], None]] = []
"""Called with each event, in the loop; must be quick; exceptions are logged."""


def tell_jobs(kind: str, name: str, message: Any, **more: Any) -> None:
    """Notify the listeners, if any, of an event of the job with the taskiq message *message*."""
    if not job_listeners:
        return
    labels = message.labels
    event = JobEvent(kind, name, message.task_id, labels["queue_name"], labels.get("attempt", 0), **more)
    for listener in job_listeners:
        try:
            listener(event)
        except Exception:  # a boundary: an observer must not fail a job
            logger.exception("A listener to jobs failed.")
