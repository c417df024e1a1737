"""The codes of faults of configuration and misuse: one list; `docs/reference/codes.md` explains each.

    TGA1..  settings         TGA4..  caches, sessions      TGA7..  calls that cannot be honoured
    TGA2..  URLs, handlers   TGA5..  databases             TGA8..  server and command line
    TGA3..  hooks, modules   TGA6..  templates, languages, logs

An error has its code as `error.code`, a fault of a `ConfigError` as `fault.code`; programs show it in brackets after
the message.
"""

from types import MappingProxyType

__all__ = ["CODES"]

CODES = MappingProxyType(
    {
        "TGA100": "Settings or hooks that cannot work",
        "TGA101": "The settings module cannot be used",
        "TGA102": "A name that does not exist",
        "TGA103": "A value of the wrong type or range",
        "TGA104": "A dotted path leads nowhere",
        "TGA105": "A library is missing",
        "TGA106": "A secret is missing or known",
        "TGA107": "Settings that do not fit each other",
        "TGA108": "Code of the project raises when it is imported",
        "TGA201": "An app or URL table is missing",
        "TGA202": "A pattern cannot be used",
        "TGA203": "A URL name is used twice",
        "TGA204": "No method of a handler fits its pattern",
        "TGA205": "A marker of a parameter cannot work",
        "TGA301": "Hooks that cannot run",
        "TGA303": "HTTP modules that cannot run",
        "TGA304": "Options of a built-in middleware",
        "TGA401": "A backend cannot be made",
        "TGA402": "SESSION cannot work",
        "TGA501": "A database cannot be used",
        "TGA502": "An option that SQLAlchemy does not have",
        "TGA503": "A `basedb` database cannot be used",
        "TGA601": "Templates cannot be made",
        "TGA602": "Translations cannot be loaded",
        "TGA603": "Logs cannot be written",
        "TGA604": "No such template",
        "TGA605": "A template does not parse",
        "TGA701": "An argument that a call cannot use",
        "TGA702": "A callable was wanted",
        "TGA703": "There is no current request",
        "TGA704": "A session used as it cannot be",
        "TGA705": "One database session in two tasks",
        "TGA706": "No such alias",
        "TGA707": "A cache key that is refused",
        "TGA708": "A value that cannot be stored or written",
        "TGA709": "A value that is too large",
        "TGA710": "A coroutine that was never awaited",
        "TGA711": "An attribute that was not loaded",
        "TGA801": "The server cannot listen",
        "TGA802": "The command line cannot be read",
        "TGA803": "A command cannot do its work",
    }
)
"""Code: the title of its section in the documentation."""
