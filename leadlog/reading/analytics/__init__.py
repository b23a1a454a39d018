"""What the log says, added up. Reads files only: neither the store nor the logging chain."""
