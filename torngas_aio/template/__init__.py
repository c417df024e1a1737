"""Template engines behind one contract: Tornado's, Jinja2 and Mako. Begin with `create_loader`.

base.py          the contract of an engine; `create_loader`
values.py        the values of a page; awaitables      cooperative.py  pages rendered in parts
loading.py       template names, cache directory       position.py   template file and line of an error
tornado_loader.py  Tornado's engine; _tornado_code.py: changes to the Python that it generates
jinja2_loader.py   Jinja2; jinja2_environment.py: its environment
mako_loader.py     Mako                              waiting.py     awaiting in synchronous template code
"""

from torngas_aio.template.base import PageMaker, Template, TemplateLoader, adapted, create_loader
from torngas_aio.template.values import HANDLER_NAMES, handler_namespace

__all__ = ["HANDLER_NAMES", "PageMaker", "Template", "TemplateLoader", "adapted", "create_loader", "handler_namespace"]
