"""The API: what its methods declare is checked, converted and described."""

from typing import Annotated, Any

from torngas_aio import ApiHandler, FolderStorage, UploadedFile, settings
from torngas_aio.api import Body, Created, File, NoContent, Page, Param, Path, Query, returns
from torngas_aio.exception import HTTPError
from tracker import tasks
from tracker.tasks import NewTask, State, Task

MIB = 1024 * 1024
Number = Annotated[int, Param(ge=1, le=2**63 - 1, description="The task's number.")]


class TaskHandler(ApiHandler):
    """What the handlers of one task have in common."""

    openapi_responses = {404: "There is no such task."}  # noqa: RUF012

    def task(self, number: int) -> Task:
        task = tasks.find(number)
        if task is None:
            raise HTTPError(404, "There is no such task.")
        return task


class Tasks(ApiHandler):
    @returns(Page[Task])
    async def get(
        self,
        state: Query[State | None] = None,
        page: Query[Annotated[int, Param(ge=1, le=1000)]] = 1,
        per_page: Query[Annotated[int, Param(name="per-page", ge=1, le=100)]] = 20,
    ) -> Any:
        """Tasks, newest first."""
        found = tasks.all_tasks(state)
        start = (page - 1) * per_page
        return {"items": found[start : start + per_page], "page": page, "per_page": per_page, "total": len(found)}

    @returns(Task, status=201)
    async def post(self, task: Body[NewTask]) -> Any:
        """Add a task."""
        made = tasks.add(task)
        return Created(made, headers={"Location": self.reverse_url("task", made.id)})


class OneTask(TaskHandler):
    @returns(Task)
    async def get(self, number: Path[Number]) -> Any:
        """One task."""
        return self.task(number)

    @returns(Task)
    async def put(self, number: Path[Number], changed: Body[NewTask]) -> Any:
        """Change a task."""
        task = self.task(number)
        task.title, task.state, task.hours = changed.title, changed.state, changed.hours
        return task

    @returns(None, status=204)
    async def delete(self, number: Path[Number]) -> Any:
        """Remove a task."""
        attachment = self.task(number).attachment
        tasks.remove(number)
        if attachment is not None:
            await FolderStorage(settings.UPLOADS).delete(attachment)
        return NoContent()


class Attachment(TaskHandler):
    max_body_size = 20 * MIB

    async def get(self, number: Path[Number]) -> None:
        """The attachment of a task."""
        name = self.task(number).attachment
        if name is None:
            raise HTTPError(404, "The task has no attachment.")
        await self.send_file(name, root=settings.UPLOADS, filename=name.partition("-")[2])

    @returns(Task)
    async def put(self, number: Path[Number], file: File[Annotated[UploadedFile, Param(max_bytes=16 * MIB)]]) -> Any:
        """Attach a file, in place of the one before."""
        task, storage = self.task(number), FolderStorage(settings.UPLOADS)
        stored = await file.save(storage)
        before, task.attachment = task.attachment, stored  # no await in between: another upload may have come first
        if before is not None:
            await storage.delete(before)
        return task
