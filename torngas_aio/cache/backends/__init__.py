"""The stores behind the cache contract, one a module."""
