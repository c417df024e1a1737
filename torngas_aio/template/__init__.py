"""Template engines behind one contract: Tornado's, Jinja2 and Mako. Begin with `create_loader`.

base.py          the contract of an engine; from TEMPLATE_CONFIG to a loader
values.py        the names of a page, awaited first    cooperative.py  pages made part by part
loading.py       the directory of compiled templates   position.py   where in a template an error happened
tornado_loader.py  Tornado's engine; _tornado_code.py: the Python it generates, changed
jinja2_loader.py   Jinja2; jinja2_environment.py: its environment
mako_loader.py     Mako                              waiting.py     code of a page that waits
"""

from torngas_aio.template.base import PageMaker, Template, TemplateLoader, adapted, create_loader
from torngas_aio.template.values import HANDLER_NAMES, handler_namespace

__all__ = ["HANDLER_NAMES", "PageMaker", "Template", "TemplateLoader", "adapted", "create_loader", "handler_namespace"]
