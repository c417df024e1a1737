"""The visitor's session and its store over a cache."""
