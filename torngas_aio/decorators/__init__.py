"""Decorators for handlers and their methods.

async_execute.py  plain functions, awaited while a thread runs them
whitelist.py      handlers for listed addresses only
"""
