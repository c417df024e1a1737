"""The inspector: details of the last requests, at /-/inspector, while DEBUG is on.

    request ──► Recorder (an observer) ──► Record: stages, SQL, cache, session, signals, templates, log, exception
                                              └── Records, the last 100 ──► pages.py: JSON, events, the page

pages.py       Inspector, which adds the inspector to an application, and its handlers
record.py      Recorder, Record and Records: one record for each request, masked and bounded
watches.py     wrappers of sessions, signals and logging, and listeners of calls and jobs
reports.py     routes, pipelines, sockets and tasks as values for JSON
               in `static`: the page, its style and its script

It is not imported while DEBUG is off. `operations.access` decides who may see it. Begin with `Inspector`.
"""

from torngas_aio.operations.inspector.pages import Inspector

__all__ = ["Inspector"]
