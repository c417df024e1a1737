"""One application, written once for each framework, as its documents advise for production.

    /plain  /json  /user/{id}  /cookie  /page  POST /upload     and, in a routes variant, /api/v1/r{i}/{id}

Each module has `make(variant)`, which gives an ASGI application, or `serve(variant, port)`. `serve.py` starts one.
"""
