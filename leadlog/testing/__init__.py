"""Test doubles and material that leadlog's own tests use, for everybody's tests."""

from typing import TYPE_CHECKING, Any

from leadlog.testing.leads import generate_leads

if TYPE_CHECKING:
    from leadlog.testing.airtable import FakeAirtable

__all__ = ["FakeAirtable", "generate_leads"]


def __getattr__(name: str) -> Any:
    """Load the fake Airtable, an HTTP server, only for those who use it."""
    if name == "FakeAirtable":
        from leadlog.testing.airtable import FakeAirtable

        return FakeAirtable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
