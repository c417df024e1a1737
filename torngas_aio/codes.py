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
        "TGA100": "Invalid settings or hooks",
        "TGA101": "The settings module cannot be used",
        "TGA102": "A name that does not exist",
        "TGA103": "A value of the wrong type or range",
        "TGA104": "A dotted path that cannot be imported",
        "TGA105": "A library is missing",
        "TGA106": "A secret that is missing or well known",
        "TGA107": "Settings that contradict each other",
        "TGA108": "Code of the project that raises on import",
        "TGA201": "An app or URL table is missing",
        "TGA202": "An invalid URL pattern",
        "TGA203": "A URL name is used twice",
        "TGA204": "A handler's methods do not match its pattern",
        "TGA205": "An invalid marker of a parameter",
        "TGA301": "Invalid hooks",
        "TGA303": "Invalid HTTP modules",
        "TGA304": "Invalid options of a built-in middleware",
        "TGA401": "A backend that cannot be created",
        "TGA402": "Invalid SESSION",
        "TGA501": "An invalid database connection",
        "TGA502": "An option that SQLAlchemy does not have",
        "TGA503": "An invalid `basedb` database",
        "TGA601": "Invalid TEMPLATE_CONFIG",
        "TGA602": "Translations cannot be loaded",
        "TGA603": "Logs cannot be written",
        "TGA604": "A template that does not exist",
        "TGA605": "A template does not parse",
        "TGA701": "An invalid argument",
        "TGA702": "A callable is required",
        "TGA703": "There is no current request",
        "TGA704": "A session used in an unsupported way",
        "TGA705": "One database session in two tasks",
        "TGA706": "An alias that is not configured",
        "TGA707": "An invalid cache key",
        "TGA708": "A value that cannot be serialized",
        "TGA709": "A value that is too large",
        "TGA710": "A coroutine that was never awaited",
        "TGA711": "An attribute that was not loaded",
        "TGA801": "The server cannot listen",
        "TGA802": "The command line cannot be read",
        "TGA803": "A command that cannot run",
    }
)
"""Code: the title of its section in the documentation."""
