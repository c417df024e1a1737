"""The server: from the command line to a process that answers requests and ends politely.

    options ─► settings ─► apps' URLs ─► Application ─► sockets ─► loop
    Server.parse_command   load_urls     load_application  load_httpserver  start

    serving.py    open the application, accept, and on a signal: stop, finish, close
    single.py     one process: SIGHUP, systemd               reloading.py  DEBUG: files that change, trial starts
    runner.py     the loop, and an end of it that waits for nothing without a limit
    doors.py      which HTTP server, behind one contract     listeners.py, sockets.py   where to listen, TLS
    options.py    the command line                           banner.py    what is said at the start

Begin with `run`, or with `Server` for a say in the steps.
"""

from torngas_aio.webserver.main import run
from torngas_aio.webserver.server import Server
from torngas_aio.webserver.serving import serve

__all__ = ["Server", "run", "serve"]
