"""Test doubles and test data, used by leadlog's own tests and available to applications."""

from typing import TYPE_CHECKING, Any

from leadlog.testing.leads import generate_leads

if TYPE_CHECKING:
    from leadlog.testing.airtable import FakeAirtable

__all__ = ["FakeAirtable", "generate_leads"]


def __getattr__(name: str) -> Any:
    """Import the fake Airtable, an HTTP server, on first use."""
    if name == "FakeAirtable":
        from leadlog.testing.airtable import FakeAirtable

        return FakeAirtable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
