"""Jinja2: the environment, what templates may do, and which of them need `await`."""
