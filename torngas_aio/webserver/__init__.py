"""The server: from the command line to a process that serves requests and shuts down gracefully.

    options ─► settings ─► apps' URLs ─► Application ─► sockets ─► loop
    Server.parse_command   load_urls     load_application  load_httpserver  start

    main.py        `run`: a whole server program          server.py     `Server`: its steps, one method each
    options.py     the command line                       building.py   from settings to an application
    validation.py  checks of settings by the services that use them
    listeners.py   listening sockets, TLS                  management.py  a listener for operators
    backends.py    the HTTP servers, behind one contract
    serving.py     start, serve and shut down an application in a running loop
    stopping.py    signals that stop the server, and the deadlines that they set
    single.py      one process: SIGHUP, systemd           runner.py     the loop, with bounded waits at shutdown
    reloading.py   DEBUG: restart on file changes, keeping sessions in memory

Begin with `run`, or with `Server` to control the steps.
"""

from torngas_aio.webserver.main import run
from torngas_aio.webserver.server import Server
from torngas_aio.webserver.serving import serve

__all__ = ["Server", "run", "serve"]
