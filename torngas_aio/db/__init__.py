"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, a small one without models.

dbalchemy/  basedb/   the two layers
changes.py            whether the code that runs has changes that are not committed
_deadlines.py         how long a statement may take
_outage.py            whether a server answers and takes writes, found out by a probe in the background
_read_only.py         whether a server takes writes
_diagnosis.py         why a connection could not be made, and how to mend it
_transports.py        idle connections that the server has closed
_aiomysql.py          aiomysql's connection with its own escape function
"""
