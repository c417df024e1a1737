"""`run`: a complete server program."""

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
    """Read the command line, load the project, serve until SIGTERM or SIGINT; return after the shutdown.

    Invalid options or configuration, and errors in the project's code, are written to stderr, starting with the
    project's source line; the process then exits with status 1.

    Args:
        application: An `Application` or a subclass, in place of the built-in one.
        sockets: Listening sockets, in place of `--address` and `--port`.
        kwargs: For the HTTP server: `no_keep_alive`, `backlog`, `max_body_size`, `ssl_options`, timeouts …
    """
    run_server(Server(), application, sockets, **kwargs)


def run_server(
    server: Server, application: Any = None, sockets: Sequence[socket.socket] | None = None, **kwargs: object
) -> None:
    """Do the same as `run`, with a given server.

    Raises:
        SystemExit: The server cannot start; status 1, after the faults were written to stderr.
    """
    try:
        if server.is_parent():
            server.supervise(sockets, **kwargs)
            return
        server.load_all(application, sockets, **kwargs)
        server.start()
    except (BaseError, OptionError) as exc:
        text = coded(exc) if isinstance(exc, BaseError) else f"{exc} [TGA802]"
        _write_error(text)
        wait_if_reloading(exc)
        raise SystemExit(1) from None
    except Exception as exc:  # the project's code runs in all steps
        is_late = isinstance(exc, TimeoutError) and not place_of(exc)  # raised by the lifespan's time limit
        if not is_late and not place_of(exc) and not is_reloading():
            raise
        _write_error(f"{exc} A start hook, or a service that is opened, has no longer." if is_late else report(exc))
        wait_if_reloading(exc)  # the next edit may fix it
        raise SystemExit(1) from None


def _write_error(why: str) -> None:
    """Write to stderr why the server did not start, in the format of `--log_formatter`."""
    text = f"{NOT_STARTED}{why}".rstrip("\n")
    if options.log_formatter and not is_trial():  # a trial's plain text is parsed by the process that started it
        record = logging.LogRecord("torngas_aio.server", logging.ERROR, __file__, 0, text, None, None)
        with suppress(ValueError):  # the format itself may be invalid
            text = make_formatter(options.log_formatter).format(record)
    sys.stderr.write(f"{text}\n")
