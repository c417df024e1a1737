"""Users, their groups, and what both may do."""

from sqlalchemy import ForeignKey, String, exists, select
from sqlalchemy.orm import Mapped, mapped_column

from torngas_aio.db.dbalchemy import Model


class User(Model):
    __tablename__ = "accounts_users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)  # in lower case
    password_hash: Mapped[str] = mapped_column(String(200))
    is_active: Mapped[bool] = mapped_column(default=True)
    is_admin: Mapped[bool] = mapped_column(default=False)  # may do everything


class Group(Model):
    __tablename__ = "accounts_groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)


class Membership(Model):
    __tablename__ = "accounts_memberships"

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey(Group.id, ondelete="CASCADE"), primary_key=True)


class UserPermission(Model):
    __tablename__ = "accounts_user_permissions"

    user_id: Mapped[int] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"), primary_key=True)
    permission: Mapped[str] = mapped_column(String(100), primary_key=True)


class GroupPermission(Model):
    __tablename__ = "accounts_group_permissions"

    group_id: Mapped[int] = mapped_column(ForeignKey(Group.id, ondelete="CASCADE"), primary_key=True)
    permission: Mapped[str] = mapped_column(String(100), primary_key=True)


async def load_user(key: str) -> User | None:
    """Return the user of a session; AUTH['load_user']."""
    return await User.Q.filter_by(id=int(key), is_active=True).first()


async def has_permission(user: User, permission: str) -> bool:
    """Return whether *user*, or a group of the user, has *permission*; AUTH['has_permission']."""
    if user.is_admin:
        return True
    own = exists().where(UserPermission.user_id == user.id, UserPermission.permission == permission)
    of_group = exists().where(
        Membership.user_id == user.id,
        GroupPermission.group_id == Membership.group_id,
        GroupPermission.permission == permission,
    )
    return bool(await User.session.scalar(select(own | of_group)))
