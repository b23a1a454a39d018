"""`leadlog monitor` and `leadlog health`."""
