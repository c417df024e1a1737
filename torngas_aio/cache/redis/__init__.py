"""Connections and commands of `torngas_aio.cache.backends.rediscache`.

location.py    LOCATION and OPTIONS        client.py      connections and deadlines of one Redis, cluster or master
cluster.py     Redis Cluster               sentinel.py    a master monitored by sentinels
connection.py  one connection              pipelining.py  many commands in one write
native.py      redis-py's client, as users get it
"""
