"""The pages: a list, and a form that adds to it."""

import wtforms
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError

from torngas_aio import FolderStorage, WebHandler, settings
from torngas_aio.forms import FileLimits
from tracker import tasks
from tracker.tasks import NewTask, State


class TaskForm(wtforms.Form):
    title = wtforms.StringField("Title", [InputRequired(), Length(max=80)])
    state = wtforms.SelectField("State", choices=[state.value for state in State])
    hours = wtforms.IntegerField("Hours", [Optional(), NumberRange(0, 1000)])
    attachment = wtforms.FileField("Attachment", [FileLimits(max_bytes=16 * 1024 * 1024)])

    async def validate_title(self, field: wtforms.Field) -> None:
        if tasks.is_taken(field.data):  # a real application asks its database here
            raise ValidationError("There is a task with this title.")


class Front(WebHandler):
    spool_body = True
    max_body_size = 20 * 1024 * 1024

    async def get(self) -> None:
        await self.render("front.html", tasks=tasks.all_tasks(), form=await self.load_form(TaskForm))

    async def post(self) -> None:
        form = await self.load_form(TaskForm)
        if form.errors:
            self.set_status(422)
            await self.render("front.html", tasks=tasks.all_tasks(), form=form)
            return
        task = tasks.add(NewTask(form.title.data, State(form.state.data), form.hours.data or 0))
        if form.attachment.data:
            task.attachment = await form.attachment.data.save(FolderStorage(settings.UPLOADS))
        await self.redirect("/", status=303)
