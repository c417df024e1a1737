"""Hooks around every request; MIDDLEWARE_CLASSES names them."""
