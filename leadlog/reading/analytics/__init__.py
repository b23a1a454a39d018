"""Totals of the log. Reads files only: neither the store nor the logging chain."""
