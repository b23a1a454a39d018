"""Test doubles and material that leadlog's own tests use, for everybody's tests."""

from leadlog.testing.leads import generate_leads

__all__ = ["generate_leads"]
