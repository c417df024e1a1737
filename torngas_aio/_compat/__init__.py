"""Names of libraries that these do not document, one module for each library; no other module needs any.

    sqlalchemy.py   the parts of a SELECT, a session's state, asyncpg's adapter
    tornado.py      routers, streams, templates, restarts       mako.py    lines of templates
    redis.py        the streams of a connection                 aiomcache.py  keys
    aiomysql.py     connections, with an escape function        aiosqlite.py  connections, closed when cancelled
    drivers.py      transports of asyncpg's and asyncmy's       stdlib.py  argparse, threading, asyncio

`tests/upstream/` has a test for each name, which fails when a version of the library changes it.
"""
