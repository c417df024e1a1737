"""Memcached: what `torngas_aio.cache.backends.memcached` is built of.

location.py    LOCATION and OPTIONS        ring.py        which server holds a key
node.py        one server and its generation of keys
pool.py        its connections             connection.py  one connection
"""
