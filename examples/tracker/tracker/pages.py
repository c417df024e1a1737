"""The pages: projects, a project with its live list of tasks, a task with its attachments."""

from collections.abc import Sequence
from typing import Any

import wtforms
from accounts.models import User
from wtforms.validators import InputRequired, Length, ValidationError

from torngas_aio import WebHandler, settings
from torngas_aio.auth import LoginMixIn
from torngas_aio.exception import Http404
from torngas_aio.forms import FileLimits
from torngas_aio.handler import EventStreamHandler
from torngas_aio.mixins.flash_message import FlashMessageMixIn
from tracker import work
from tracker.models import Attachment, Member, State, Task

MIB = 1024 * 1024
MAX_DIGITS = 9  # of a number in an address


class ProjectForm(wtforms.Form):
    name = wtforms.StringField("Name", [InputRequired(), Length(max=80)])


class MemberForm(wtforms.Form):
    user = wtforms.StringField("User", [InputRequired(), Length(max=100)])

    async def validate_user(self, field: wtforms.Field) -> None:
        field.found = await User.Q.filter_by(name=field.data, is_active=True).first()
        if field.found is None:
            raise ValidationError("There is no such user.")


class TaskForm(wtforms.Form):
    title = wtforms.StringField("Title", [InputRequired(), Length(max=120)])
    assignee_id = wtforms.SelectField("For", coerce=lambda value: int(value) if value else None)

    def __init__(self, *args: Any, members: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.assignee_id.choices = [("", "no one yet"), *((user.id, user.name) for user in members)]


class ChangeForm(TaskForm):
    state = wtforms.SelectField("State", choices=[state.value for state in State])


class FileForm(wtforms.Form):
    file = wtforms.FileField("File", [InputRequired(), FileLimits(max_bytes=16 * MIB)])


class Page(FlashMessageMixIn, LoginMixIn, WebHandler):
    """What all pages have in common."""

    async def show(self, page: str, form: wtforms.Form, /, **values: Any) -> None:
        """Answer with a page; with 422 where its form has errors."""
        if form.errors:
            self.set_status(422)
        await self.render(f"tracker/{page}.html", form=form, **values)

    def number(self, digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            raise Http404("There is no number %.20s", digits)
        return int(digits)


class Projects(Page):
    async def get(self) -> None:
        form = await self.load_form(ProjectForm)
        await self.show("projects", form, projects=await work.projects_of(self.current_user))

    async def post(self) -> None:
        form = await self.load_form(ProjectForm)
        if form.errors:
            await self.show("projects", form, projects=await work.projects_of(self.current_user))
            return
        project = await work.add_project(self.current_user, form.name.data)
        await self.redirect(self.reverse_url("project", project.id), status=303)


class Project(Page):
    async def get(self, digits: str) -> None:
        await self.answer(digits)

    async def post(self, digits: str) -> None:
        await self.answer(digits)

    async def answer(self, digits: str) -> None:
        project = await work.project_for(self.current_user, self.number(digits))
        members = await work.members_of(project.id)
        form = await self.load_form(TaskForm, members=members)
        if self.request.method == "POST" and not form.errors:
            task = await work.add_task(project.id, form.title.data, form.assignee_id.data)
            self.flash(f"Added “{task.title}”.", "success")
            await self.redirect(self.reverse_url("project", project.id), status=303)
            return
        tasks = await tasks_of(project.id)
        await self.show("project", form, project=project, members=members, tasks=tasks)


class Members(Page):
    async def post(self, digits: str) -> None:
        project = await work.project_for(self.current_user, self.number(digits))
        form = await self.load_form(MemberForm)
        if form.errors:
            self.flash(form.user.errors[0], "error")
        else:
            await Member.session.merge(Member(project_id=project.id, user_id=form.user.found.id))
            self.flash(f"{form.user.found.name} is a member now.", "success")
        await self.redirect(self.reverse_url("project", project.id), status=303)


class TaskList(Page):
    """The list alone: a page fetches it when it hears of a change."""

    async def get(self, digits: str) -> None:
        project = await work.project_for(self.current_user, self.number(digits))
        await self.render("tracker/tasks.html", tasks=await tasks_of(project.id))


class Changes(EventStreamHandler):
    """An event for each change of a project's tasks, on whichever server it is made."""

    async def prepare(self) -> None:
        await super().prepare()
        digits = self.path_args[0]
        project = await work.project_for(self.current_user, int(digits) if len(digits) <= MAX_DIGITS else 0)
        self.channel_names = (f"project:{project.id}",)
        await Member.session.commit()  # gives the connection back: a stream may last for hours


class OneTask(Page):
    async def get(self, digits: str) -> None:
        await self.answer(digits)

    async def post(self, digits: str) -> None:
        await self.answer(digits)

    async def answer(self, digits: str) -> None:
        task = await work.task_for(self.current_user, self.number(digits))
        form = await self.load_form(ChangeForm, obj=task, members=await work.members_of(task.project_id))
        if self.request.method == "POST" and not form.errors:
            await work.change_task(task, form.title.data, State(form.state.data), form.assignee_id.data)
            self.flash("Saved.", "success")
            await self.redirect(self.reverse_url("project", task.project_id), status=303)
            return
        await self.show("task", form, task=task, attachments=await work.attachments_of(task))


class Remove(Page):
    async def post(self, digits: str) -> None:
        task = await work.task_for(self.current_user, self.number(digits))
        await work.remove_task(task)
        self.flash(f"Removed “{task.title}”.")
        await self.redirect(self.reverse_url("project", task.project_id), status=303)


class Attach(Page):
    spool_body = True
    max_body_size = 20 * MIB

    async def post(self, digits: str) -> None:
        task = await work.task_for(self.current_user, self.number(digits))
        form = await self.load_form(FileForm)
        if form.errors:
            self.flash(form.file.errors[0], "error")
        else:
            await work.attach(task, form.file.data)
        await self.redirect(self.reverse_url("task", task.id), status=303)


class Download(Page):
    async def get(self, digits: str) -> None:
        attachment = await Attachment.session.get(Attachment, self.number(digits))
        if attachment is None:
            raise Http404("Attachment %s", digits)
        await work.task_for(self.current_user, attachment.task_id)
        await self.send_file(attachment.stored, root=settings.UPLOADS, filename=attachment.filename)


async def tasks_of(project_id: int) -> list[Task]:
    return list(await Task.Q.filter_by(project_id=project_id).order_by(Task.id.desc()).limit(200).all())
