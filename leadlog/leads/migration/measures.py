"""Statistics of a migration's records: their quality and completeness."""

from collections import Counter
from typing import Any

from leadlog.leads.store.normalise import NormalisedLead
from leadlog_processors.quality import score

__all__ = ["Measures"]

_FIELDS = (
    "full_name",
    "company",
    "email",
    "title",
    "linkedin_url",
    "phone",
    "website",
    "location",
    "industry",
    "company_size",
    "status",
    "source",
    "notes",
)


class Measures:
    """Counts records by quality and by field.

    Attributes:
        quality: Number of records by quality tier.
    """

    def __init__(self) -> None:
        self.quality: Counter[str] = Counter(high=0, medium=0, low=0, invalid=0)
        self._filled: Counter[str] = Counter()
        self._valid = 0

    def take(self, lead: NormalisedLead) -> None:
        """Count a lead that can be stored."""
        fields: dict[str, Any] = lead.fields
        self._valid += 1
        filled = self._filled
        for name, value in fields.items():
            if value is not None:
                filled[name] += 1
        self.quality[score({**fields, "name": fields["full_name"]}).tier] += 1

    def reject(self) -> None:
        """Count a record that cannot be stored."""
        self.quality["invalid"] += 1

    @property
    def completeness(self) -> dict[str, float]:
        """Share of the valid records that have a value, 0 to 1, by field."""
        if not self._valid:
            return {}
        return {name: round(self._filled[name] / self._valid, 4) for name in _FIELDS}
