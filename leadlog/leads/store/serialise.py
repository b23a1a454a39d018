"""Leads as dictionaries: what the lead store gives to its callers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, inspect

from leadlog.leads.store.models import Lead

__all__ = ["COLUMNS", "FIELDS", "from_lead", "from_row"]

COLUMNS = tuple(c for c in inspect(Lead).local_table.c if isinstance(c, Column))
FIELDS = tuple(column.key for column in COLUMNS)
"""The fields of a lead, in the order in which `from_row` takes them."""


def from_row(row: Sequence[Any]) -> dict[str, Any]:
    """Return a row of `COLUMNS` as a dict, with the name as both `name` and `full_name`."""
    lead = dict(zip(FIELDS, row, strict=True))
    lead["name"] = lead["full_name"]
    return lead


def from_lead(lead: Lead) -> dict[str, Any]:
    """Return a loaded lead as a dict, with the name as both `name` and `full_name`."""
    values = lead.__dict__
    found = {field: values[field] for field in FIELDS}
    found["name"] = found["full_name"]
    return found
