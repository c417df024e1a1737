"""Mails: to an assignee after the commit, and every night to all who have work left."""

from collections import defaultdict

from accounts.mail import send_mail
from accounts.models import User

from torngas_aio import settings
from torngas_aio.jobs import job
from tracker.models import State, Task


@job(outbox=True, retries=5, timeout=30)
async def mail_assignee(task_id: int) -> None:
    """Tell the assignee of a task; written in the transaction that assigns it, so it is sent if that is committed."""
    task = await Task.session.get(Task, task_id)
    if task is not None and task.assignee is not None:
        link = f"{settings.BASE_URL.rstrip('/')}/tasks/{task.id}"
        await send_mail(task.assignee.email, f"For you: {task.title}", f"{task.title}\n\n{link}\n")


@job(cron="0 3 * * *", tz="UTC", catch_up=3600)
async def nightly_digest() -> None:
    """Enqueue a mail for each user who has open tasks."""
    tasks = await Task.Q.filter(Task.state != State.DONE, Task.assignee_id.is_not(None)).order_by(Task.id).all()
    titles: defaultdict[int, list[str]] = defaultdict(list)
    for task in tasks:
        titles[task.assignee_id].append(task.title)
    for user_id, theirs in titles.items():
        await mail_digest.enqueue(user_id, theirs[:100])


@job(retries=5, timeout=30)
async def mail_digest(user_id: int, titles: list[str]) -> None:
    """One mail a job: one that fails is tried again alone."""
    user = await User.session.get(User, user_id)
    if user is not None and user.is_active:
        await send_mail(user.email, f"Your open tasks: {len(titles)}", "\n".join(f"- {title}" for title in titles))
