"""The cache backends, one per module.

base.py        the contract                   dummy.py      keeps nothing
localcache.py  in this process                filecache.py  in a directory
rediscache.py  Redis                          memcached.py  Memcached
filebased.py   the earlier name of filecache
"""
