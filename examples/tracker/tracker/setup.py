"""Before the first request: the tables are brought to the newest version, and with DEBUG there are two users."""

import logging
import os
from pathlib import Path
from typing import Any

from accounts.models import User

from torngas_aio import settings
from torngas_aio.auth import hash_password
from torngas_aio.db.dbalchemy import session_scope
from torngas_aio.db.dbalchemy.migrations import Migrations
from torngas_aio.middleware import BaseMiddleware

logger = logging.getLogger("torngas_aio.infolog")

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
PASSWORD = os.environ.get("TRACKER_PASSWORD", "correct horse battery")


class SetUpMiddleware(BaseMiddleware):
    """Fit for trying it out. With DEBUG off run `torngas-aio db upgrade` and `createuser` before the servers start."""

    async def process_init(self, application: Any) -> None:
        if not settings.DEBUG:
            return
        await Migrations("default", MIGRATIONS, logger.info).upgrade()
        async with session_scope("default") as session:
            if await User.Q.exists():
                return
            hashed = await hash_password(PASSWORD)
            session.add(User(name="ann", email="ann@example.com", password_hash=hashed, is_admin=True))
            session.add(User(name="bob", email="bob@example.com", password_hash=hashed))
            await session.commit()
