"""Loaders of plain Tornado, brought under our contract.

A handler may override `create_template_loader` with a `tornado.template.BaseLoader`, or anything with `load(name)`
whose templates have `generate(**values)`. Begin with `adapted`.
"""

from collections.abc import Mapping
from typing import Any

from torngas_aio.exception import ArgumentError
from torngas_aio.template.contract import Template, TemplateLoader

__all__ = ["adapted"]


def adapted(loader: Any) -> TemplateLoader:
    """Return *loader* itself if it keeps our contract, else a loader that does and asks it."""
    return loader if isinstance(loader, TemplateLoader) else _ForeignLoader(loader)


class _ForeignLoader(TemplateLoader):
    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def load(self, name: str, parent_path: str | None = None) -> Template:
        return _ForeignTemplate(name, self._loader.load(name))

    def reset(self) -> None:
        self._fetched = {}
        self._loader.reset()


class _ForeignTemplate(Template):
    def __init__(self, name: str, template: Any) -> None:
        self.name = name
        self._template = template

    def generate(self, **values: Any) -> bytes:
        self._refuse_awaitables(values)
        return self._make(values)

    async def render_block(self, name: str, values: Mapping[str, Any]) -> bytes:
        raise ArgumentError(f"{self.name!r} comes from a plain Tornado loader, which knows no blocks by name.")

    def _make(self, values: Mapping[str, Any]) -> bytes:
        page = self._template.generate(**values)
        return page if isinstance(page, bytes) else str(page).encode()
