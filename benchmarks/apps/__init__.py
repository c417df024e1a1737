"""One application, written once for each framework, as its documents advise for production.

    /plain  /json  /user/{id}  /cookie  /page  POST /upload     and, in a routes variant, /api/v1/r{i}/{id}

torngas_aio, Tornado, aiohttp, Starlette, BlackSheep and Sanic have these, too:

    POST /order (JSON)  POST /form  POST /file (multipart)  /megabyte  /events (SSE)  /static/...
    WebSockets: /echo  /news, to which GET /broadcast sends

Each module has `make(variant)`, which gives an ASGI application, or `serve(variant, port)`. `serve.py` starts one.
"""
