"""Ends with status 0 while the server answers at `/-/live`: anything below 500 counts, a refused Host too."""

import http.client
import sys

try:
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8000, timeout=4)
    connection.request("GET", "/-/live")
    sys.exit(connection.getresponse().status >= 500)
except OSError as exc:
    sys.exit(f"no answer: {exc}")
