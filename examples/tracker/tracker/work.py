"""What pages and API have in common: who may see what, and what follows from a change."""

from accounts.models import User
from sqlalchemy import select

from torngas_aio import FolderStorage, UploadedFile, settings
from torngas_aio.channels import channels
from torngas_aio.exception import HTTPError
from tracker.jobs import mail_assignee
from tracker.models import Attachment, Member, Project, State, Task


async def projects_of(user: User) -> list[Project]:
    """Return the projects that *user* is a member of."""
    found = Project.Q.join(Member, Member.project_id == Project.id).filter(Member.user_id == user.id)
    return list(await found.order_by(Project.name).all())


async def project_for(user: User, number: int) -> Project:
    """Return project *number*.

    Raises:
        HTTPError: 404: there is none, or *user* is no member, which is not told apart.
    """
    if await Member.session.get(Member, (number, user.id)) is None:
        raise HTTPError(404, "There is no such project.")
    return await Project.session.get_one(Project, number)


async def task_for(user: User, number: int) -> Task:
    """Return task *number*.

    Raises:
        HTTPError: 404: there is none, or it is of a project that *user* is no member of.
    """
    task: Task | None = await Task.session.get(Task, number)
    if task is None or await Member.session.get(Member, (task.project_id, user.id)) is None:
        raise HTTPError(404, "There is no such task.")
    return task


async def members_of(project_id: int) -> list[User]:
    """Return the users of a project, by name."""
    members = select(Member.user_id).where(Member.project_id == project_id)
    return list(await User.Q.filter(User.id.in_(members)).order_by(User.name).all())


async def add_project(user: User, name: str) -> Project:
    project = Project(name=name)
    Project.session.add(project)
    await Project.session.flush()
    Member.session.add(Member(project_id=project.id, user_id=user.id))
    return project


async def add_task(project_id: int, title: str, assignee_id: int | None = None, state: State = State.OPEN) -> Task:
    """Make a task; its list changes on every screen, and its assignee gets a mail.

    Raises:
        HTTPError: 422: the assignee is no member of the project.
    """
    await check_assignee(project_id, assignee_id)
    task = Task(project_id=project_id, title=title, state=state, assignee_id=assignee_id)
    Task.session.add(task)
    await Task.session.flush()
    await Task.session.refresh(task)
    await _tell(task)
    if assignee_id is not None:
        await mail_assignee.enqueue(task.id)
    return task


async def change_task(task: Task, title: str, state: State, assignee_id: int | None) -> None:
    """Change a task; a new assignee gets a mail.

    Raises:
        HTTPError: 422: the assignee is no member of the project.
    """
    await check_assignee(task.project_id, assignee_id)
    is_new = assignee_id not in {None, task.assignee_id}
    task.title, task.state, task.assignee_id = title, state, assignee_id
    await Task.session.flush()
    await Task.session.refresh(task)
    await _tell(task)
    if is_new:
        await mail_assignee.enqueue(task.id)


async def remove_task(task: Task) -> None:
    """Remove a task; its files go once that is committed."""
    names = await attachments_of(task)
    Task.session.on_commit(lambda: _delete_files([each.stored for each in names]))
    for each in names:
        await Attachment.session.delete(each)
    await Task.session.delete(task)
    await _tell(task)


async def attachments_of(task: Task) -> list[Attachment]:
    return list(await Attachment.Q.filter_by(task_id=task.id).order_by(Attachment.id).all())


async def attach(task: Task, file: UploadedFile) -> Attachment:
    """Store *file*; a project may have it under any name, the folder has it under a random one."""
    stored = await file.save(FolderStorage(settings.UPLOADS))
    Attachment.session.on_rollback(lambda: _delete_files([stored]))
    attachment = Attachment(task_id=task.id, stored=stored, filename=file.filename, size=file.size)
    Attachment.session.add(attachment)
    await Attachment.session.flush()
    return attachment


async def check_assignee(project_id: int, assignee_id: int | None) -> None:
    if assignee_id is not None and await Member.session.get(Member, (project_id, assignee_id)) is None:
        raise HTTPError(422, "The assignee is no member of the project.")


async def _tell(task: Task) -> None:
    """Tell all who look at the project; in a transaction, so it goes out after the commit."""
    await channels.publish(f"project:{task.project_id}", {"task": task.id})


async def _delete_files(names: list[str]) -> None:
    storage = FolderStorage(settings.UPLOADS)
    for name in names:
        await storage.delete(name)
