"""Passwords: checked, changed, and reset by a link that is mailed."""

import hashlib
from urllib.parse import urlencode

from sqlalchemy import update
from tornado.web import RequestHandler

from accounts.mail import send_mail
from accounts.models import User
from torngas_aio import session_scope, settings
from torngas_aio.auth import check_password, hash_password, needs_rehash
from torngas_aio.auth.passwords import MAX_PASSWORD_BYTES
from torngas_aio.session import session_store

MIN_LENGTH = 10
LINK_SECONDS = 3600
_LINK = "accounts-password-reset"


def fault_of(password: str, again: str) -> str | None:
    """Return why *password* cannot be a new one, None where it can."""
    if password != again:
        return "The two passwords differ."
    if len(password) < MIN_LENGTH:
        return f"Use {MIN_LENGTH} characters or more."
    if len(password.encode("utf-8", "surrogatepass")) > MAX_PASSWORD_BYTES:
        return "This password is too long."
    return None


async def user_with(name: str, password: str) -> User | None:
    """Return the active user *name* if *password* is the right one; takes as long for a name that is not there."""
    user = await User.Q.filter_by(name=name, is_active=True).first()
    if user is not None and user.name != name:  # MariaDB finds "ann" for "ÁNN", whose attempts are counted apart
        user = None
    if not await check_password(password, user and user.password_hash) or user is None:
        return None
    if needs_rehash(user.password_hash):
        user.password_hash = await hash_password(password)
        await User.session.commit()
    return user


async def set_password(user: User, password: str, keep: str | None = None) -> bool:
    """Store a new password and end the user's sessions.

    Args:
        keep: The id of a session to keep.

    Returns:
        False where the password was changed meanwhile: nothing is stored then.
    """
    hashed = await hash_password(password)
    unchanged = (User.id == user.id, User.password_hash == user.password_hash)
    result = await User.session.execute(update(User).where(*unchanged).values(password_hash=hashed))
    await User.session.commit()
    if not result.rowcount:
        return False
    await session_store().revoke_user(str(user.id), keep=keep)
    return True


async def mail_link(handler: RequestHandler, email: str) -> None:
    """Mail a link to whom *email* belongs; runs in the background, so that the answer tells nothing by its time."""
    async with session_scope("default"):
        user = await User.Q.filter_by(email=email.strip().lower(), is_active=True).first()
    if user is not None:
        token = handler.create_signed_value(_LINK, f"{user.id}:{_state_of(user)}").decode()
        # Never the request's Host: it is the client's word.
        link = f"{settings.BASE_URL.rstrip('/')}/accounts/reset/confirm?{urlencode({'token': token})}"
        await send_mail(user.email, "Your new password", f"Choose a new password within one hour:\n\n{link}\n")


async def user_of_link(handler: RequestHandler, token: str) -> User | None:
    """Return the user of a link that is at most an hour old and whose user has the same password as then."""
    value = handler.get_signed_cookie(_LINK, token, max_age_days=LINK_SECONDS / 86400)
    key, _, state = (value or b"").decode().partition(":")
    user = await User.Q.filter_by(id=int(key), is_active=True).first() if key else None
    return user if user is not None and state == _state_of(user) else None


def _state_of(user: User) -> str:
    return hashlib.sha256(f"{user.email}\n{user.password_hash}".encode()).hexdigest()
