"""What happens to jobs in this process, for who looks on: metrics and the inspector.

    enqueue ── sent ──► enqueued ··· started ──► succeeded
                                        ├──────► failed ──► retried, or dead
                                        └──────► given back (its worker stops)

Nothing is made while there is no listener.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["JobEvent", "job_listeners", "tell_jobs"]

logger = logging.getLogger("torngas_aio.jobs")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One thing that has happened to a job.

    Attributes:
        kind: One of those above.
        name: The job's, as it was declared; "" for a message of no declared job.
        id: The message's.
        queue: The queue.
        attempt: 0 for the first.
        seconds: How long the attempt took, of `succeeded`, `failed` and `given back`.
        error: What the attempt raised, of `failed`.
        key: Of `enqueued`; likewise `arguments`, by the names of the parameters; may be secret.
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
"""Called with each event, in the loop; quick, and what they raise is logged."""


def tell_jobs(kind: str, name: str, message: Any, **more: Any) -> None:
    """Tell the listeners, if there are any, of a job whose taskiq message is *message*."""
    if not job_listeners:
        return
    labels = message.labels
    event = JobEvent(kind, name, message.task_id, labels["queue_name"], labels.get("attempt", 0), **more)
    for listener in job_listeners:
        try:
            listener(event)
        except Exception:  # a boundary: who looks on must not fail a job
            logger.exception("A listener to jobs failed.")
