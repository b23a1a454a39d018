"""Monitoring: measured performance of the application's own code."""
