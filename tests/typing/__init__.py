"""Typing examples: checked by mypy --strict and pyright, never executed."""
