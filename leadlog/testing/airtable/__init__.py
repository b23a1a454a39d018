"""A fake Airtable: a real HTTP server on loopback that behaves like Airtable's Web API."""

from leadlog.testing.airtable.counters import Counters, Request
from leadlog.testing.airtable.facade import FakeAirtable
from leadlog.testing.airtable.faults import Fault, FaultKind
from leadlog.testing.airtable.fields import LEAD_FIELDS, Field

__all__ = ["LEAD_FIELDS", "Counters", "FakeAirtable", "Fault", "FaultKind", "Field", "Request"]
