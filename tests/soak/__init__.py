"""The whole server under mixed traffic for long: what it holds at the end, it held at the start."""
