"""Notification: recipients, the alerts they get, intervals, and channels."""
