"""Loggers, log files shared by several processes, and their configuration.

    syslogger ─┐                     format in the caller, append to a buffer ──► thread ──► SharedLogFile
    access_    ├─ loggers ─ handlers ┤                                                      stderr
    info_      │                     └ full buffer: a thread waits; an event loop waits briefly, then drops and counts
    trace_     ┘

    loggers.py      named loggers, ids     handlers.py    handlers for `logging`
    setup.py        LOGGING and --log_*    background.py  the buffer and its thread
    formatters.py   lines, colours, JSON   sharedfile.py  a file shared by processes, and its rotation
    direct.py       lines without a record outages.py     rate-limited lines about outages
    client.py       `SysLogger` at its import path in torngas 1.8

Begin with `init_logging`.
"""

from torngas_aio._former_names import former_names
from torngas_aio.logger.direct import DirectLines
from torngas_aio.logger.formatters import JsonFormatter, LineFormatter, field_sources, line_fields
from torngas_aio.logger.handlers import BackgroundStreamHandler, ProcessLogTimedFileHandler
from torngas_aio.logger.loggers import (
    REQUEST_ID_HEADER,
    SysLogger,
    access_logger,
    current_request_id,
    info_logger,
    level_of,
    request_id_of,
    request_summary,
    syslogger,
    trace_logger,
)
from torngas_aio.logger.outages import DEGRADED_SECONDS, OutageLog, outage_key
from torngas_aio.logger.setup import init_logging, shutdown_logging

__all__ = [
    "DEGRADED_SECONDS",
    "REQUEST_ID_HEADER",
    "BackgroundStreamHandler",
    "DirectLines",
    "JsonFormatter",
    "LineFormatter",
    "OutageLog",
    "ProcessLogTimedFileHandler",
    "SysLogger",
    "access_logger",
    "current_request_id",
    "field_sources",
    "info_logger",
    "init_logging",
    "level_of",
    "line_fields",
    "outage_key",
    "request_id_of",
    "request_summary",
    "shutdown_logging",
    "syslogger",
    "trace_logger",
]

__getattr__ = former_names(__name__)
