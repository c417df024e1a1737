"""The API: what its methods declare is checked, converted and described at /-/docs/."""

from typing import Annotated, Any

import msgspec

from torngas_aio import ApiHandler, UploadedFile
from torngas_aio.api import Body, Created, File, NoContent, Page, Param, Path, Query, returns
from tracker import work
from tracker.models import State, Task

MIB = 1024 * 1024
Number = Annotated[int, Param(ge=1, le=2**31 - 1)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=120, pattern="^[^\\x00]*$")]  # PostgreSQL has no NUL


class UserOut(msgspec.Struct):
    id: int
    name: str


class ProjectOut(msgspec.Struct):
    id: int
    name: str


class TaskOut(msgspec.Struct):
    id: int
    project_id: int
    title: str
    state: State
    assignee: UserOut | None = None


class AttachmentOut(msgspec.Struct):
    id: int
    filename: str
    size: int


class TaskIn(msgspec.Struct, forbid_unknown_fields=True):
    title: Title
    state: State = State.OPEN
    assignee_id: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class Handler(ApiHandler):
    openapi_responses = {404: "There is no such project or task, or you are no member."}  # noqa: RUF012


class Projects(ApiHandler):
    @returns(list[ProjectOut])
    async def get(self) -> Any:
        """The projects that you are a member of."""
        return await work.projects_of(self.current_user)


class Tasks(Handler):
    @returns(Page[TaskOut])
    async def get(
        self,
        project: Path[Number],
        state: Query[State | None] = None,
        page: Query[Annotated[int, Param(ge=1, le=1000)]] = 1,
    ) -> Any:
        """Tasks of a project, newest first."""
        await work.project_for(self.current_user, project)
        tasks = Task.Q.filter_by(project_id=project).order_by(Task.id.desc())
        if state is not None:
            tasks = tasks.filter_by(state=state)
        found = await tasks.paginate(page, default=None)
        return found if found is not None else {"items": [], "page": page}

    @returns(Created[TaskOut])
    async def post(self, project: Path[Number], task: Body[TaskIn]) -> Any:
        """Add a task."""
        await work.project_for(self.current_user, project)
        made = await work.add_task(project, task.title, task.assignee_id, task.state)
        return Created(made, headers={"Location": self.reverse_url("api-task", made.id)})


class OneTask(Handler):
    @returns(TaskOut)
    async def get(self, number: Path[Number]) -> Any:
        """One task."""
        return await work.task_for(self.current_user, number)

    @returns(TaskOut)
    async def put(self, number: Path[Number], changed: Body[TaskIn]) -> Any:
        """Change a task."""
        task = await work.task_for(self.current_user, number)
        await work.change_task(task, changed.title, changed.state, changed.assignee_id)
        return task

    @returns(NoContent)
    async def delete(self, number: Path[Number]) -> Any:
        """Remove a task and what is attached to it."""
        await work.remove_task(await work.task_for(self.current_user, number))
        return NoContent()


class Attachments(Handler):
    max_body_size = 20 * MIB

    @returns(list[AttachmentOut])
    async def get(self, number: Path[Number]) -> Any:
        """What is attached to a task."""
        return await work.attachments_of(await work.task_for(self.current_user, number))

    @returns(Created[AttachmentOut])
    async def post(self, number: Path[Number], file: File[Annotated[UploadedFile, Param(max_bytes=16 * MIB)]]) -> Any:
        """Attach a file."""
        return Created(await work.attach(await work.task_for(self.current_user, number), file))
