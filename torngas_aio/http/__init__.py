"""The HTTP/1.1 server and the request object that every front door yields."""
