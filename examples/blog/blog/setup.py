"""Before the first request: the tables are brought to the newest version, and the first author is made."""

import logging
import os
import secrets
from pathlib import Path
from typing import Any

from blog import passwords
from blog.models import User
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.db.dbalchemy.migrations import Migrations
from torngas_aio.middleware import BaseMiddleware

logger = logging.getLogger("torngas_aio.infolog")

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


class SetUpMiddleware(BaseMiddleware):
    """Fit for an example. A site with several servers runs `torngas-aio db upgrade` once, before they start."""

    async def process_init(self, application: Any) -> None:
        await Migrations("default", MIGRATIONS, logger.info).upgrade()
        async with session_scope("default") as session:
            session.using_master()  # the slaves may not have heard of the tables yet
            if await User.Q.exists():
                return
            password = os.environ.get("BLOG_ADMIN_PASSWORD") or secrets.token_urlsafe(9)
            session.add(User(name="admin", password=await passwords.hashed(password)))
            await session.commit()
        if "BLOG_ADMIN_PASSWORD" not in os.environ:
            print(f"The first author is 'admin', with the password {password}")
