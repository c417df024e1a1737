"""Template engines behind one contract: Tornado's, Jinja2 and Mako. Begin with `create_loader`."""

from torngas_aio.template.base import Template, TemplateLoader, adapted
from torngas_aio.template.namespace import HANDLER_NAMES, handler_namespace
from torngas_aio.template.registry import create_loader

__all__ = ["HANDLER_NAMES", "Template", "TemplateLoader", "adapted", "create_loader", "handler_namespace"]
