"""The same application behind an ASGI server: uvicorn, granian, hypercorn.

    # asgi.py of a project:  uvicorn asgi:application
    application = get_asgi_application()

Begin with `get_asgi_application`.
"""

from torngas_aio.asgi.application import AsgiApplication, get_asgi_application

__all__ = ["AsgiApplication", "get_asgi_application"]
