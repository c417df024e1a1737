"""The middlewares that settings name."""
