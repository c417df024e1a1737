"""Jobs: work outside of requests, durable where it is to be, and work at given times; on taskiq.

from torngas_aio.jobs import job

@job(retries=3, timeout=30)
async def send_mail(user_id: int) -> None: ...

await send_mail.enqueue(7)

declaring.py  `@job`, enqueueing                       options.py    what `@job` may be told
arguments.py  through JSON and back
base.py       what a backend does                      registry.py  JOBS by alias
memory.py     within one process                        worker.py    takes jobs from queues and runs them
redis.py      through Redis streams                     outbox.py    jobs and their keys in the project's database
schedules.py  when jobs are due by themselves
"""

try:
    from torngas_aio.jobs.base import BaseJobs
except ModuleNotFoundError as exc:
    exc.add_note("torngas_aio.jobs needs an extra: pip install 'torngas-aio[jobs]'.")
    raise

from torngas_aio.jobs.declaring import Enqueued, Job, job
from torngas_aio.jobs.registry import jobs

__all__ = ["BaseJobs", "Enqueued", "Job", "job", "jobs"]
