"""A laboratory: several hosts on this machine, in network namespaces, that can be stopped, killed and cut off.

    network.py     Network, Host: namespaces on one bridge; cut and heal a host
    services.py    Redis, memcached, MariaDB and nginx on hosts of the network
    node.py        a host that serves `site/` with two workers
    visitors.py    visitors that check every promise they were made, and count what failed

Slow: `nox -s cluster` runs all of it, `nox -s tests` a short form. Begin with `conftest.py`.
"""
