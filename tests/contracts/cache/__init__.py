"""The contract of every cache backend."""
