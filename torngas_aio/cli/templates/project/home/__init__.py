"""The first application: a page and an API."""
