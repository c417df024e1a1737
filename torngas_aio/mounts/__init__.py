"""ASGI and WSGI applications under a URL. Extra `mount`, for WSGI.

    urls = route(
        url(r"/", "main.Index"),
        mount("/admin", admin, name="admin"),
    )

table.py    mount: the rule for a URL table
running.py  the running application: its lifespan or its threads

Begin with `mount`.
"""

from torngas_aio.mounts.table import mount

__all__ = ["mount"]
