"""The built-in middlewares, to be listed in settings, and the base class for a project's own.

base.py       the base class with all hooks      session.py    the visitor's session
dbalchemy.py  transactions and reads of a request   signal.py  signals of each stage
accesslog.py  one line for each request          cors.py       CORS
security.py   response headers, allowed hosts
"""

from torngas_aio._former_names import former_names
from torngas_aio.middleware.base import BaseMiddleware

__all__ = ["BaseMiddleware"]

__getattr__ = former_names(__name__)
