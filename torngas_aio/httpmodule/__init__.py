"""HTTP modules: hooks that turn on and off per route."""
