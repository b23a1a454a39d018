"""`leadlog report`: a period of the log as one HTML file, made of the dashboard's model."""

from leadlog.dashboard.report.content import Report, report_of
from leadlog.dashboard.report.page import page

__all__ = ["Report", "page", "report_of"]
