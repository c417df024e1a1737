"""Projects, members, tasks and attachments."""

import enum
from datetime import UTC, datetime

from accounts.models import User
from sqlalchemy import Enum, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from torngas_aio.db.dbalchemy import Model


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)  # UTC: neither SQLite nor MariaDB keeps the zone


class State(enum.StrEnum):
    OPEN = "open"
    DOING = "doing"
    DONE = "done"


class Project(Model):
    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


class Member(Model):
    __tablename__ = "members"

    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)


class Task(Model):
    __tablename__ = "tasks"
    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  # a link to a removed task never shows another one

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey(Project.id, ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(120))
    state: Mapped[State] = mapped_column(
        Enum(State, values_callable=lambda kind: [state.value for state in kind], native_enum=False, length=10),
        default=State.OPEN,
    )
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey(User.id, ondelete="SET NULL"), index=True)
    made_at: Mapped[datetime] = mapped_column(default=now)

    assignee: Mapped[User | None] = relationship(lazy="joined")


class Attachment(Model):
    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)
    stored: Mapped[str] = mapped_column(String(255))  # its name in UPLOADS
    filename: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column()
