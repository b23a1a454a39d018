"""`leadlog report`: a period of the log as one HTML file, built on the dashboard's model."""

from leadlog.dashboard.report.content import PeriodReport, report_of
from leadlog.dashboard.report.page import page

__all__ = ["PeriodReport", "page", "report_of"]
