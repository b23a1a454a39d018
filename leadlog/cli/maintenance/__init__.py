"""Commands that maintain the log directory."""
