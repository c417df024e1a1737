"""The loggers that users of torngas 1.8 know by name.

    access_logger   torngas_aio.accesslog   one line a request
    info_logger     torngas_aio.infolog     what is worth knowing
    trace_logger    torngas_aio.tracelog    what went wrong

Begin with `syslogger`, which chooses by level.
"""

import logging

from tornado.httputil import HTTPServerRequest

from torngas_aio.utils.text import quote_field

__all__ = ["SysLogger", "access_logger", "info_logger", "level_of", "request_summary", "syslogger", "trace_logger"]

access_logger = logging.getLogger("torngas_aio.accesslog")
info_logger = logging.getLogger("torngas_aio.infolog")
trace_logger = logging.getLogger("torngas_aio.tracelog")


class _SysLogger:
    """Sends debug, info and warning to the info log, error, exception and critical to the trace log.

    Its methods are those loggers' own, so a line names the place that called.
    """

    def __init__(self) -> None:
        self.access_logger, self.info_logger, self.trace_logger = access_logger, info_logger, trace_logger
        self.debug = info_logger.debug
        self.info = info_logger.info
        self.warning = info_logger.warning
        self.error = trace_logger.error
        self.exception = trace_logger.exception
        self.critical = trace_logger.critical


syslogger = SysLogger = _SysLogger()


def level_of(status: int) -> int:
    """Return the level at which an answer with *status* is logged, in Tornado's line and in the middleware's.

    429 counts as information: a limit that works is not a warning, and its lines would come by the thousand.
    """
    return logging.INFO if status < 400 or status == 429 else logging.WARNING if status < 500 else logging.ERROR


def request_summary(request: HTTPServerRequest) -> str:
    """Return method, target and client address, as log lines name a request; each is one field, whatever was sent."""
    method, target, address = request.method or "-", request.uri or "-", request.remote_ip or "-"
    text = f"{method}{target}{address}"
    if quote_field(text) != text:  # PERF: most are plain, and looked through at once
        method, target, address = map(quote_field, (method, target, address))
    return f"{method} {target} ({address})"
