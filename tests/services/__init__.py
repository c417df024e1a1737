"""Real servers for the tests, started from the system's own binaries on free ports."""
