"""Redis: what `torngas_aio.cache.backends.rediscache` is built of.

location.py    LOCATION and OPTIONS        client.py      one server: connections and deadlines
cluster.py     Redis Cluster               sentinel.py    the master that sentinels name
connection.py  one connection              pipelining.py  many commands in one write
native.py      the client of redis-py that users get
"""
