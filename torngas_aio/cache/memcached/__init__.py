"""Connections and commands of `torngas_aio.cache.backends.memcached`.

location.py    LOCATION and OPTIONS
node.py        one server and its key generation; the hash ring that assigns keys to servers
pool.py        a server's connections      connection.py  one connection
"""
