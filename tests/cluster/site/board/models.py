"""One table: what visitors have posted."""

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from torngas_aio.db.dbalchemy import Model


class Post(Model):
    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    visitor: Mapped[str] = mapped_column(String(40), index=True)
