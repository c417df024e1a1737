"""What authors and visitors may send; length and presence are checked here, and shown beside the fields."""

import wtforms
from wtforms.validators import DataRequired, Length


def stripped(text: str | None) -> str:
    return (text or "").strip()


class PostForm(wtforms.Form):
    title = wtforms.StringField("Title", [DataRequired(), Length(max=120)], filters=[stripped])
    text = wtforms.TextAreaField("Text", [DataRequired(), Length(max=50_000)], filters=[stripped])


class CommentForm(wtforms.Form):
    name = wtforms.StringField("Your name", [DataRequired(), Length(max=40)], filters=[stripped])
    text = wtforms.TextAreaField("What you say", [DataRequired(), Length(max=2000)], filters=[stripped])
