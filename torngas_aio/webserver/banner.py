"""What the server says when it starts. Begin with `settings_info`."""

import sys
from collections.abc import Sequence
from typing import Any

import tornado

from torngas_aio._version import __version__

__all__ = ["settings_info"]


def settings_info(settings: Any, addresses: Sequence[str], *, loop: str, http_server: str) -> str:
    """Return the start banner: versions, locale, apps, template engine, where to look.

    Args:
        addresses: URLs, or `unix:` and a path.
        loop: Name of the event loop's library.
    """
    facts = {
        "torngas_aio": __version__,
        "tornado": tornado.version,
        "python": f"{sys.version.split()[0]} on {loop}",
        "http server": http_server,
        "settings": settings.source or "built-in defaults",
        "locale": settings.TRANSLATIONS_CONF.locale_default if settings.TRANSLATIONS else "off",
        "apps": ", ".join(settings.INSTALLED_APPS) or "none",
        "template engine": settings.TEMPLATE_CONFIG.template_engine or "tornado",
        "debug": "on, with autoreload; requests are shown at /-/inspector" if settings.DEBUG else "off",
    }
    width = max(map(len, facts))
    lines = [f"  {name:<{width}}  {fact}" for name, fact in facts.items()]
    shown = [address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:") for address in addresses]
    return "\n".join([*lines, f"Serving on {' '.join(shown)}"])
