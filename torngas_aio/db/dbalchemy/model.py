"""`Model`, the base class of all models: its connection, its queries and its session.

class User(Model):
    __tablename__ = 'users'
    id = Column(Integer, primary_key=True)          as in torngas 1.8
    name: Mapped[str] = mapped_column(String(40))   the typed way

await User.Q.filter(User.name == 'jack').all()      User.session.add(User(name='jack'))
"""

from typing import Any, ClassVar, TypeVar

from sqlalchemy import Engine, MetaData, Select, inspect, select
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncEngine
from sqlalchemy.orm import DeclarativeBase

from torngas_aio._names import did_you_mean
from torngas_aio.db.dbalchemy.db_session import DbSession
from torngas_aio.db.dbalchemy.query import Query
from torngas_aio.db.dbalchemy.registry import current_session
from torngas_aio.exception import ArgumentError

__all__ = ["Model", "metadata_of", "metadatas"]

M = TypeVar("M", bound="Model")

_STATEMENT = "_torngas_select"


class _Tables(MetaData):
    """The tables of one connection; passing an asyncio engine raises an error that names the right call."""

    def create_all(self, bind: Any, *args: Any, **kwargs: Any) -> None:
        """Create the tables, as SQLAlchemy does. Raises `ArgumentError` if *bind* is an asyncio engine."""
        _refuse_async_engine(bind, "create_all", "create_db")
        super().create_all(bind, *args, **kwargs)

    def drop_all(self, bind: Any, *args: Any, **kwargs: Any) -> None:
        """Drop the tables, as SQLAlchemy does. Raises `ArgumentError` if *bind* is an asyncio engine."""
        _refuse_async_engine(bind, "drop_all", "drop_db")
        super().drop_all(bind, *args, **kwargs)


def _refuse_async_engine(bind: object, name: str, ours: str) -> None:
    if isinstance(bind, AsyncEngine) or (isinstance(bind, Engine) and bind.dialect.is_async):
        raise ArgumentError(
            f"metadata.{name}() cannot await an engine of asyncio. Write "
            f"`await Connector.get_conn('default').{ours}()`, or "
            f"`await connection.run_sync(metadata.{name})` with a connection of the engine."
        )


_metadatas: dict[str, MetaData] = {}


def metadata_of(name: str = "default") -> MetaData:
    """Return the tables of the connection *name*: those of all models imported so far."""
    found = _metadatas.get(name)
    if found is None:
        found = _metadatas[name] = _Tables()
    return found


def metadatas() -> dict[str, MetaData]:
    """Return the tables of every connection used by a model."""
    return dict(_metadatas)


class _Queries:
    """The descriptor of `Model.Q`: returns a new query of the class."""

    def __get__(self, instance: object, owner: type[M]) -> Query[M]:
        name = owner.__connection_name__
        statement: Select[Any] | None = owner.__dict__.get(_STATEMENT)
        if statement is None:  # PERF: immutable, so built once per class
            statement = select(owner)
            type.__setattr__(owner, _STATEMENT, statement)
        return Query((owner,), lambda: current_session(name), statement)


class _Sessions:
    """The descriptor of `Model.session`: returns the current session of the class's connection."""

    def __get__(self, instance: object, owner: "type[Model]") -> DbSession:
        return current_session(owner.__connection_name__)


class Model(AsyncAttrs, DeclarativeBase):
    """The base class of models.

    Plain `Column` attributes, annotated or not, and typed `Mapped[]` attributes may be mixed.
    `await user.awaitable_attrs.posts` loads an attribute that was not loaded with the object.

    Raises:
        ArgumentError: On construction: a value is given for a name that is not a column.

    Attributes:
        Q: A query of this model in the current session.
        session: The current session: that of the innermost `session_scope`, else that of the request.
    """

    __abstract__ = True
    __allow_unmapped__ = True
    __connection_name__: ClassVar[str] = "default"

    metadata = metadata_of()

    Q: ClassVar[_Queries] = _Queries()
    session: ClassVar[_Sessions] = _Sessions()

    def __init__(self, **values: object) -> None:
        cls = type(self)
        for name in values:
            if not hasattr(cls, name):
                known = [each.key for each in inspect(cls).attrs]
                hint = did_you_mean(name, known)
                raise ArgumentError(
                    f"{cls.__name__}({name}=...): no column is named {name!r}.{hint} There are {', '.join(known)}."
                )
        for name, value in values.items():
            setattr(self, name, value)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        name = cls.__dict__.get("__connection_name__")
        if name is not None and "metadata" not in cls.__dict__:
            cls.metadata = metadata_of(name)
        super().__init_subclass__(**kwargs)
