"""Automatic capture: SQLAlchemy events become one record per call, with its outcome."""
