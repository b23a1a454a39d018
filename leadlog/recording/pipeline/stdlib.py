"""Routing of Python's `logging` records into the pipeline.

logging.getLogger().addHandler(leadlog.LoggingHandler())
"""

import logging
import threading
from typing import Any

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class EventHandler(logging.Handler):
    """A `logging` handler that logs each record as an event of the application.

    The event is the record's text; logger name, place and `extra` values are added (an `extra`
    value with a reserved name, such as `function`, as `extra_function`). A record made while
    another one is being handled in the same thread is ignored, so that a library which logs
    inside leadlog's own code cannot cause endless recursion.

    Args:
        logger: the logger to log to.
        level: lowest level that is logged.
    """

    def __init__(self, logger: Any, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._logger = logger
        self._inside = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; never raises."""
        if getattr(self._inside, "now", False):
            return
        self._inside.now = True
        try:
            values: dict[str, Any] = {
                "logger": record.name,
                "module": record.module,
                "function": record.funcName,
                "line": record.lineno,
            }
            if record.exc_info:
                values["exc_info"] = record.exc_info
            for key, value in record.__dict__.items():
                if key not in _OWN:
                    values[f"extra_{key}" if key in values else key] = value
            self._logger.log(record.levelno, record.getMessage(), **values)
        except Exception:  # noqa: BLE001 - logging's own rule: report, never raise
            self.handleError(record)
        finally:
            self._inside.now = False
