"""A user's file of leads, in any form that a migration takes, read whole."""

from pathlib import Path
from typing import Any

from leadlog.core.errors import LeadlogError, ReadError
from leadlog.leads.migration.decoding import Broken
from leadlog.leads.migration.records import Reading, records_of

__all__ = ["LeadFileError", "read_leads"]


class LeadFileError(LeadlogError, ValueError):
    """A file with something that is no record; the message says where and what to do."""


def read_leads(path: Path) -> list[Any]:
    """Return the records of a file: JSON, JSON Lines or CSV, plain, .gz or .zst.

    Records are returned as they are, also those that are not leads.

    Raises:
        ReadError: the file cannot be read.
        LeadFileError: a part of it is no record.
    """
    rows = []
    try:
        with records_of(path, Reading()) as records:
            for record in records:
                if isinstance(record, Broken):
                    where = f", line {record.line}" if record.line else ""
                    raise LeadFileError(
                        f"{path}{where}: {record.reason}; "
                        f"leadlog migrate {path.name} --dry-run shows all that is wrong with it"
                    )
                rows.append(record.value)
    except OSError as error:
        raise ReadError(
            f"cannot read {path}: {error.strerror or error}; give a file of leads"
        ) from error
    return rows
