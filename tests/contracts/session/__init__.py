"""The contract of sessions on every store."""
