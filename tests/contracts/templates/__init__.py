"""The contract of every template engine."""
