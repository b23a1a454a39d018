"""The dashboard: a local web page on the log, live."""
