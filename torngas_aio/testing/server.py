"""The server under test: an application built from what the test gave, listening on a free port.

Begin with `listen`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio.to_thread
from tornado.netutil import bind_sockets

from torngas_aio.application import Application
from torngas_aio.checks import missing_secrets
from torngas_aio.i18n import load_translations
from torngas_aio.settings_manager import load_settings, settings
from torngas_aio.urlhelper import load_app_urls
from torngas_aio.webserver.backends import make_backend
from torngas_aio.webserver.serving import serving

__all__ = ["listen", "made_application"]

GRACEFUL_SECONDS = 1.0
"""How long requests may go on once their test has ended."""


@contextmanager
def made_application(app: Application | str | Mapping[str, Any]) -> Iterator[Application]:
    """Give *app*, or the application that its settings describe; those settings hold meanwhile.

    With DEBUG on, secrets that are missing are made, as at a server's start.
    """
    if isinstance(app, Application):
        yield app
        return
    values = load_settings(app) if isinstance(app, str) else app
    with (
        settings.override(**values),
        settings.override(**(missing_secrets(settings) if settings.DEBUG else {})),
    ):
        yield Application(
            load_app_urls(settings.INSTALLED_APPS),
            middlewares=settings.MIDDLEWARE_CLASSES,
            debug=settings.DEBUG,
            autoreload=False,
            **settings.TORNADO_CONF,
        )


@asynccontextmanager
async def listen(application: Application, http_server: str, options: Mapping[str, Any]) -> AsyncIterator[int]:
    """Run *application* in this loop behind *http_server*; give its port; end in order.

    Translations are loaded before, as at a server's start.

    Raises:
        ConfigError: There is no such server, or no such translations.
    """
    if settings.TRANSLATIONS:
        await anyio.to_thread.run_sync(load_translations, settings.TRANSLATIONS_CONF)
    trusted = {"trusted_proxies": settings.TRUSTED_PROXIES, "trusted_headers": settings.TRUSTED_PROXY_HEADERS}
    backend = make_backend(application, http_server, **{**trusted, **options})
    sockets = bind_sockets(0, "127.0.0.1")
    port: int = sockets[0].getsockname()[1]
    async with serving(application, backend, sockets, graceful_seconds=GRACEFUL_SECONDS):
        yield port
