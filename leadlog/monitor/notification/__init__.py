"""Notification: who gets notices, about which alerts, how often, and over which channels."""
