"""Mix-ins for handlers."""
