"""Watching the log: rolling figures, alerts, the monitor that follows it, and health checks."""
