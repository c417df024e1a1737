"""The command line, run in projects of its own making."""
