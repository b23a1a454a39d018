"""Commands that look after the log directory."""
