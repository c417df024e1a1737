"""Benchmarks: whole applications against rivals (`python -m benchmarks`), and single parts (one module each)."""
