"""The model of the log behind its three views: the dashboard, the report and `top`.

    from leadlog.dashboard.model import Log, now, window

    with Log("database_logs") as log:
        log.catch_up()
        print(now(log, window("1h")).state.sentence)

All functions query the index (`leadlog.reading.index`); none reads a whole file. They return
frozen dataclasses, which `orjson` serialises directly.
"""

from leadlog.dashboard.log import Log
from leadlog.dashboard.model.alerts import Alerts, alerts, firing
from leadlog.dashboard.model.commands import CommandLines
from leadlog.dashboard.model.entity import Timelines, entity
from leadlog.dashboard.model.errors import ErrorDetail, ErrorGroup, error_detail, error_groups
from leadlog.dashboard.model.explore import EventRow, Explored, explore, rows, rows_after
from leadlog.dashboard.model.filters import EventFilter, FilterError, filter_of
from leadlog.dashboard.model.latency import Heatmap, differences, heatmap
from leadlog.dashboard.model.now import Now, Tile, now
from leadlog.dashboard.model.quality import QualityFigures, quality
from leadlog.dashboard.model.runs import RunFigures, Runs, runs
from leadlog.dashboard.model.session import SessionStory, session
from leadlog.dashboard.model.verdict import OperationFigures
from leadlog.dashboard.model.windows import TimeWindow, WindowError, window

__all__ = [
    "Alerts",
    "CommandLines",
    "ErrorDetail",
    "ErrorGroup",
    "EventFilter",
    "EventRow",
    "Explored",
    "FilterError",
    "Heatmap",
    "Log",
    "Now",
    "OperationFigures",
    "QualityFigures",
    "RunFigures",
    "Runs",
    "SessionStory",
    "Tile",
    "TimeWindow",
    "Timelines",
    "WindowError",
    "alerts",
    "differences",
    "entity",
    "error_detail",
    "error_groups",
    "explore",
    "filter_of",
    "firing",
    "heatmap",
    "now",
    "quality",
    "rows",
    "rows_after",
    "runs",
    "session",
    "window",
]
