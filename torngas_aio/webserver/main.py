"""`run`: the whole of a server program. Begin there."""

import socket
import sys
from collections.abc import Sequence
from typing import Any

from tornado.options import Error as OptionError

from torngas_aio._project_errors import place_of, report
from torngas_aio.exception import BaseError, coded
from torngas_aio.webserver.reloading import NOT_STARTED, is_reloading, wait_if_reloading
from torngas_aio.webserver.server import Server

__all__ = ["run", "run_server"]


def run(application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: Any) -> None:
    """Read the command line, load everything, serve until SIGTERM or SIGINT; return when all has ended.

    A command line or configuration that cannot work, and an error of the project's own code, is written to stderr,
    the project's line first, and the process exits with 1.

    Args:
        application: An `Application` or a subclass, in place of the built-in one.
        sockets: Listening sockets, in place of `--address` and `--port`.
        kwargs: For the HTTP server: `no_keep_alive`, `backlog`, `max_body_size`, `ssl_options`, timeouts …
    """
    run_server(Server(), application, sockets, **kwargs)


def run_server(
    server: Server, application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: Any
) -> None:
    """Do what `run` does, with a server of one's own.

    Raises:
        SystemExit: With status 1, after the faults were written to stderr: the server cannot start.
    """
    try:
        if server.is_parent():
            server.supervise(sockets, **kwargs)
            return
        server.load_all(application, sockets, **kwargs)
        server.start()
    except (BaseError, OptionError) as exc:
        told = coded(exc) if isinstance(exc, BaseError) else f"{exc} [TGA802]"
        sys.stderr.write(f"{NOT_STARTED}{told}\n")
        wait_if_reloading(exc)
        raise SystemExit(1) from None
    except Exception as exc:  # the project's own code runs in all steps
        if not place_of(exc) and not is_reloading():
            raise
        sys.stderr.write(f"{NOT_STARTED}{report(exc)}")
        wait_if_reloading(exc)  # the next edit may mend it
        raise SystemExit(1) from None
