"""`SysLogger` and logger names, at their import path in torngas 1.8."""

from torngas_aio.logger.loggers import SysLogger, access_logger, info_logger, syslogger, trace_logger

__all__ = ["ACCESS_LOGNAME", "INFO_LOGNAME", "TRACE_LOGNAME", "SysLogger", "syslogger"]

ACCESS_LOGNAME = access_logger.name
INFO_LOGNAME = info_logger.name
TRACE_LOGNAME = trace_logger.name
