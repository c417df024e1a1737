"""The server: options, sockets, front doors, and a polite end."""
