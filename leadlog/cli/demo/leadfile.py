"""Reading of a user's file of leads, in any format that a migration reads."""

from pathlib import Path
from typing import Any

from leadlog.core.errors import LeadlogError, ReadError
from leadlog.leads.migration.decoding import Broken
from leadlog.leads.migration.records import Reading, records_of

__all__ = ["LeadFileError", "read_leads"]


class LeadFileError(LeadlogError, ValueError):
    """A part of a file is not a record; the message says where, and gives the remedy."""


def read_leads(path: Path) -> list[Any]:
    """Return the records of a JSON, JSON Lines or CSV file, plain, .gz or .zst.

    Records are returned unchanged, including those that are not leads.

    Raises:
        ReadError: the file cannot be read.
        LeadFileError: a part of the file is not a record.
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
