"""The models of the database tests: typed and plain columns, a relationship, and a model of another connection."""

from sqlalchemy import Column, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from torngas_aio.db.dbalchemy import Model

__all__ = ["Elsewhere", "Post", "User"]


class User(Model):
    """Typed columns."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    visits: Mapped[int] = mapped_column(default=0)
    posts: Mapped[list["Post"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Post(Model):
    """Plain columns, as the models of torngas 1.8 have them."""

    __tablename__ = "posts"

    id = Column(Integer, primary_key=True)
    title = Column(String(80), nullable=False)
    author_id = Column(Integer, ForeignKey("users.id"), nullable=False)
    author = relationship(User, back_populates="posts")


class Elsewhere(Model):
    """Of another connection; its table may be called as one of the default's."""

    __tablename__ = "users"
    __connection_name__ = "other"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(40))
