"""Databases: `dbalchemy`, the routed SQLAlchemy layer, and `basedb`, the small web.py-style one."""
