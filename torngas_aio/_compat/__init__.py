"""Undocumented names of libraries, one module for each library; no other module uses any.

    sqlalchemy.py   the parts of a SELECT, a session's state, asyncpg's adapter
    tornado.py      routers, streams, templates, restarts       mako.py    lines of templates
    redis.py        the streams of a connection                 aiomcache.py  keys
    aiomysql.py     connections, with an escape function        aiosqlite.py  connections, closed when cancelled
    drivers.py      transports of asyncpg and asyncmy           stdlib.py  argparse, threading, asyncio

`tests/upstream/` has a test for each name, which fails when a version of the library changes it.
"""
