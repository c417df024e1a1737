"""Background jobs on taskiq: work outside of requests, optionally durable, and scheduled work.

from torngas_aio.jobs import job

@job(retries=3, timeout=30)
async def send_mail(user_id: int) -> None: ...

await send_mail.enqueue(7)

declaring.py  `@job`, enqueueing                        options.py   the options of `@job`, and their checks
arguments.py  conversion of arguments to JSON and back
base.py       the contract of a backend                 registry.py  the backends of JOBS by alias
memory.py     jobs in one process                       worker.py    takes jobs from queues and runs them
redis.py      jobs through Redis streams                outbox.py    jobs and their keys in the project's database
schedules.py  jobs at given times
"""

try:
    from torngas_aio.jobs.base import BaseJobs
except ModuleNotFoundError as exc:
    exc.add_note("torngas_aio.jobs needs an extra: pip install 'torngas-aio[jobs]'.")
    raise

from torngas_aio.jobs.declaring import Enqueued, Job, job
from torngas_aio.jobs.registry import jobs

__all__ = ["BaseJobs", "Enqueued", "Job", "job", "jobs"]
