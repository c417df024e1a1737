"""`run`: the whole of a server program. Begin there."""

import logging
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tornado.options import Error as OptionError
from tornado.options import options

from torngas_aio._project_errors import place_of, report
from torngas_aio.exception import BaseError, coded
from torngas_aio.logger.formatters import make_formatter
from torngas_aio.webserver.reloading import NOT_STARTED, is_reloading, is_trial, wait_if_reloading
from torngas_aio.webserver.server import Server

__all__ = ["run", "run_server"]


def run(application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: object) -> None:
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
    server: Server, application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: object
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
        _tell(told)
        wait_if_reloading(exc)
        raise SystemExit(1) from None
    except Exception as exc:  # the project's own code runs in all steps
        is_late = isinstance(exc, TimeoutError) and not place_of(exc)  # a step of the lifespan
        if not is_late and not place_of(exc) and not is_reloading():
            raise
        _tell(f"{exc} A start hook, or a service that is opened, has no longer." if is_late else report(exc))
        wait_if_reloading(exc)  # the next edit may mend it
        raise SystemExit(1) from None


def _tell(why: str) -> None:
    """Write on stderr why the server did not start, as `--log_formatter` has it."""
    text = f"{NOT_STARTED}{why}".rstrip("\n")
    if options.log_formatter and not is_trial():  # the process that has it tried reads what it says
        record = logging.LogRecord("torngas_aio.server", logging.ERROR, __file__, 0, text, None, None)
        with suppress(ValueError):  # it may be what is wrong
            text = make_formatter(options.log_formatter).format(record)
    sys.stderr.write(f"{text}\n")
