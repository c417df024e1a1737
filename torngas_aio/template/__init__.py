"""Template engines behind one contract."""
