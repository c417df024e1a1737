"""The server: from the command line to a process that answers requests and ends politely.

    options ─► settings ─► apps' URLs ─► Application ─► sockets ─► loop
    Server.parse_command   load_urls     load_application  load_httpserver  start

    main.py        `run`: a whole server program          server.py     `Server`: its steps, one method each
    options.py     the command line                       building.py   from settings to an application
    validation.py  faults that services find in their settings
    listeners.py   where to listen, TLS                    management.py  a listener for operators
    backends.py    which HTTP server, behind one contract
    serving.py     open the application, accept; at the end finish, close
    stopping.py    signals: which of them stop it, and how fast
    single.py      one process: SIGHUP, systemd           runner.py     the loop, with bounded waits at its end
    reloading.py   DEBUG: files that change, sessions in memory kept over a reload

Begin with `run`, or with `Server` for a say in the steps.
"""

from torngas_aio.webserver.main import run
from torngas_aio.webserver.server import Server
from torngas_aio.webserver.serving import serve

__all__ = ["Server", "run", "serve"]
