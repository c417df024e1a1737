"""Memcached: what `torngas_aio.cache.backends.memcached` is built of.

location.py    LOCATION and OPTIONS
node.py        one server and its generation of keys; which of several servers holds a key
pool.py        its connections             connection.py  one connection
"""
