"""The tasks, kept in memory; a real application has a table of them."""

import enum
import itertools
from typing import Annotated

import msgspec

MOST = 1000


class State(enum.Enum):
    OPEN = "open"
    DONE = "done"


class NewTask(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    state: State = State.OPEN
    hours: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0


class Task(NewTask):
    """What a client gets."""

    id: int = 0
    attachment: str | None = None


_numbers = itertools.count(1)
_tasks: dict[int, Task] = {}


def all_tasks(state: State | None = None) -> list[Task]:
    """Return the tasks, newest first."""
    return [task for task in reversed(_tasks.values()) if state in {None, task.state}]


def find(number: int) -> Task | None:
    return _tasks.get(number)


def is_taken(title: str) -> bool:
    return any(task.title == title for task in _tasks.values())


def add(new: NewTask) -> Task:
    """Keep a task; the oldest makes room where there are too many."""
    task = Task(title=new.title, state=new.state, hours=new.hours, id=next(_numbers))
    _tasks[task.id] = task
    if len(_tasks) > MOST:
        del _tasks[next(iter(_tasks))]
    return task


def remove(number: int) -> None:
    _tasks.pop(number, None)
