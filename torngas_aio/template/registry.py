"""From TEMPLATE_CONFIG to a loader.

Begin with `create_loader`.
"""

import math
from collections.abc import Mapping
from typing import Any

from torngas_aio._importing import import_object
from torngas_aio.exception import ConfigError
from torngas_aio.template.base import TemplateLoader

__all__ = ["create_loader"]

_TORNADO = "torngas_aio.template.tornado_loader.TornadoTemplateLoader"


def create_loader(config: Mapping[str, Any], template_path: str, *, debug: bool = False) -> TemplateLoader:
    """Return the loader that *config* (TEMPLATE_CONFIG) asks for, on *template_path*.

    Args:
        config: `template_engine` is the dotted path of a loader class, `template.jinja2_loader...` for short,
            or None for Tornado's; every other key is an option of the engine.
        debug: Look for changed files whatever `filesystem_checks` says.

    Raises:
        ConfigError: No such engine, its library is not installed, or it does not know an option.
    """
    options = dict(config)
    path = options.pop("template_engine", None) or _TORNADO
    if debug:
        options["filesystem_checks"] = True
    kind = _engine(path) if isinstance(path, str) else path
    if not isinstance(kind, type):
        raise ConfigError(f"TEMPLATE_CONFIG['template_engine'] = {path!r}: a loader class was wanted.", code="TGA601")
    loader: TemplateLoader = kind(template_path, **options)
    if debug:
        loader.check_seconds = 0.0
    elif not options.get("filesystem_checks", False):
        loader.check_seconds = math.inf
    return loader


def _engine(path: str) -> Any:
    # The document and the settings of torngas 1.8 write the path with and without the package's name.
    full = f"torngas_aio.{path}" if path.startswith("template.") else path
    try:
        return import_object(full)
    except ImportError as exc:
        extra = " Install it: pip install 'torngas-aio[mako]'." if getattr(exc, "name", "") == "mako" else ""
        raise ConfigError(
            f"TEMPLATE_CONFIG['template_engine'] = {path!r}: {exc}.{extra} Write None for Tornado's engine, "
            "'torngas_aio.template.jinja2_loader.Jinja2TemplateLoader' or "
            "'torngas_aio.template.mako_loader.MakoTemplateLoader'.",
            code="TGA601",
        ) from exc
