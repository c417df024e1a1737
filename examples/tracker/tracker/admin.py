"""The admin at /admin, by starlette-admin, on the project's own engine; settings.ROUTE_MODULES guards it."""

import secrets
from pathlib import Path
from typing import Any

from accounts.models import User
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.applications import Starlette
from starlette_admin.contrib.sqla import Admin, ModelView

from torngas_aio import settings
from torngas_aio.db.dbalchemy import Connector
from tracker.models import Project, Task


class MasterSession(AsyncSession):
    """Reads and writes on the master: what an administrator has just saved is seen at once."""

    def __init__(self, **options: Any) -> None:  # made in a request: the engine belongs to the running loop
        super().__init__(**{**options, "bind": Connector.get_conn("default").engine})


class UserView(ModelView):
    exclude_fields_from_list = exclude_fields_from_detail = ("password_hash",)
    exclude_fields_from_create = exclude_fields_from_edit = ("password_hash",)

    def can_create(self, request: Any) -> bool:
        return False  # `torngas-aio createuser` asks for a password


def make_admin() -> Starlette:
    site = Starlette()
    secret = settings.TORNADO_CONF["cookie_secret"] or secrets.token_urlsafe(32)
    sessions = async_sessionmaker(class_=MasterSession, expire_on_commit=False)
    own = str(Path(__file__).parent / "admin_templates")  # its default, "templates", would be those of the project
    admin = Admin(sessions, title="Tracker", base_url="/", secret_key=secret, templates_dir=own)
    admin.add_view(ModelView(Project))
    admin.add_view(ModelView(Task))
    admin.add_view(UserView(User))
    admin.mount_to(site)
    return site
