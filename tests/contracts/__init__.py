"""Contract suites: one per family of backends, run on each of them."""
