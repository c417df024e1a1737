"""Caches behind one contract."""
