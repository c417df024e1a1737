"""Jobs and messages, for runs in which everything is killed."""
