"""A client of the guarded site."""

from collections.abc import AsyncIterator

import pytest

from tests.auth import site
from tests.auth.site import MODULES, RULES, SECRET, loads
from torngas_aio import Application
from torngas_aio.httpmodule.httpmodule import HttpModuleMiddleware
from torngas_aio.settings_manager import settings
from torngas_aio.testing import TestClient


@pytest.fixture
async def client() -> AsyncIterator[TestClient]:
    loads.clear()
    with settings.override(
        AUTH={"load_user": f"{site.__name__}.load_user"},
        SESSION={**settings.SESSION, "secret_key": SECRET},
        TORNADO_CONF={"cookie_secret": SECRET},
    ):
        middlewares = [
            "torngas_aio.middleware.session.SessionMiddleware",
            "torngas_aio.auth.AuthMiddleware",
            HttpModuleMiddleware((), MODULES),
        ]
        async with TestClient(Application(RULES, middlewares=middlewares)) as client:
            yield client
