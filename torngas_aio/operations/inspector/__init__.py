"""The inspector: what the last requests did, at /-/inspector, while DEBUG is on.

    request ──► Recorder (an observer) ──► Record: stages, SQL, cache, session, signals, templates, log, exception
                                              └── Records, the last 100 ──► pages.py: JSON, events, the page

pages.py       Inspector: what makes an application one that is inspected, and the handlers
record.py      Recorder, Record and Records: one for each request, masked, bounded
watches.py     what is put around sessions, signals, logging and the small database
reports.py     routes, pipelines, sockets and tasks as values for JSON
               in `static`: the page, its style and its script

Nothing of it is imported while DEBUG is off; `operations.access` says who may see it. Begin with `Inspector`.
"""

from torngas_aio.operations.inspector.pages import Inspector

__all__ = ["Inspector"]
