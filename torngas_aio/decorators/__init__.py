"""Decorators for handlers and their methods.

async_execute.py  runs plain functions in threads and returns futures
whitelist.py      restricts handlers to listed addresses
"""
