"""The inspector: what the last requests did, at /-/inspector, while DEBUG is on.

    request ──► Recorder (an observer) ──► Record: stages, SQL, cache, session, signals, templates, log, exception
                                              └── Records, the last 100 ──► pages.py: JSON, events, the page

inspector.py   Inspector: what makes an application one that is inspected; `operations.access` says who may see it
recorder.py    Recorder: one Record for each request, from its stages
record.py      Record and Records: masked, bounded
watches.py     what is put around sessions, signals, logging and the small database
reports.py     routes, pipelines, sockets and tasks as values for JSON
pages.py       the handlers
               in `static`: the page, its style and its script

Nothing of it is imported while DEBUG is off. Begin with `Inspector`.
"""

from torngas_aio.operations.inspector.inspector import Inspector

__all__ = ["Inspector"]
