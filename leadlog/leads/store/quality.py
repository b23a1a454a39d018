"""The data quality of a store's leads, field by field, and its worst leads.

The score is that of the log's labels (`leadlog_processors.quality`). If they are installed,
email-validator (without DNS) and phonenumbers (numbers with a country code) also check addresses
and numbers; problems that only they find are counted under separate codes and do not change the
score, so that the report and the log never disagree.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from leadlog_processors.quality import FIELDS, explain, score

__all__ = ["FieldReport", "QualityReport", "judge", "validators"]

Validator = Callable[[Mapping[str, Any]], str | None]
"""Returns the code of a problem with one field of a lead, or None."""


@dataclass(frozen=True, slots=True)
class FieldReport:
    """The quality of one field over all leads.

    Attributes:
        weight: Points that a faultless value earns, out of 100.
        earned: Mean of the points earned; None without leads.
        faultless: Number of leads that earn all its points.
        issues: Number of leads by code of the problem.
    """

    weight: int
    earned: float | None
    faultless: int
    issues: dict[str, int]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The data quality of a store's leads.

    Attributes:
        leads: Number of leads scored.
        mean_score: Mean score, 0 to 1; None without leads.
        tiers: Number of leads by tier: high, medium, low and invalid.
        distribution: Number of leads by tenth of the score: `0.0-0.1` … `0.9-1.0`.
        fields: Report by field.
        worst: The leads with the lowest scores: `id`, `full_name`, `score`, `tier` and `issues`,
            lowest first.
        validators: Names of the validator libraries that also checked the values.
    """

    leads: int
    mean_score: float | None
    tiers: dict[str, int]
    distribution: dict[str, int]
    fields: dict[str, FieldReport]
    worst: list[dict[str, Any]]
    validators: tuple[str, ...]


def validators() -> Iterator[tuple[str, str, Validator]]:
    """Yield the name, the field and the function of each installed validator library."""
    try:
        from email_validator import EmailNotValidError, validate_email
    except ModuleNotFoundError:
        pass
    else:

        def email(lead: Mapping[str, Any]) -> str | None:
            try:
                validate_email(lead["email"], check_deliverability=False)
            except EmailNotValidError:
                return "email_refused_by_email_validator"
            return None

        yield "email-validator", "email", email
    try:
        import phonenumbers
    except ModuleNotFoundError:
        pass
    else:

        def phone(lead: Mapping[str, Any]) -> str | None:
            number = lead["phone"].strip()
            if not number.startswith("+"):
                return None  # cannot be checked without a country code
            try:
                known = phonenumbers.is_valid_number(phonenumbers.parse(number))
            except phonenumbers.NumberParseException:
                known = False
            return None if known else "phone_refused_by_phonenumbers"

        yield "phonenumbers", "phone", phone


def judge(leads: Iterable[Mapping[str, Any]], worst: int) -> QualityReport:
    """Score leads one by one, in constant memory.

    Args:
        leads: The leads, as returned by the store.
        worst: Number of lowest-scoring leads to list.
    """
    found = list(validators())
    tiers: Counter[str] = Counter()
    tenths: Counter[int] = Counter()
    earned: Counter[str] = Counter()
    faultless: Counter[str] = Counter()
    issues: dict[str, Counter[str]] = {field: Counter() for field in FIELDS}
    lowest: list[tuple[float, int, dict[str, Any]]] = []  # a heap, the best of the worst on top
    count, total = 0, 0.0
    for lead in leads:
        quality, codes = score(lead), []
        for field, part in explain(lead).items():
            earned[field] += part.earned
            extra = [] if part.issues else list(_refusals(found, field, lead))
            faultless[field] += not part.issues and not extra
            codes += [*part.issues, *extra]
            issues[field].update([*part.issues, *extra])
        tiers[quality.tier] += 1
        tenths[min(9, int(quality.score * 10))] += 1
        total += quality.score
        if worst:
            entry = {
                "id": lead["id"],
                "full_name": lead["full_name"],
                "score": quality.score,
                "tier": quality.tier,
                "issues": codes,
            }
            push = heapq.heappush if len(lowest) < worst else heapq.heappushpop
            push(lowest, (-quality.score, -count, entry))
        count += 1
    weights = {field: part.weight for field, part in explain({}).items()}
    return QualityReport(
        leads=count,
        mean_score=round(total / count, 4) if count else None,
        tiers={tier: tiers[tier] for tier in ("high", "medium", "low", "invalid")},
        distribution={f"{n / 10:.1f}-{(n + 1) / 10:.1f}": tenths[n] for n in range(10)},
        fields={
            field: FieldReport(
                weights[field],
                round(earned[field] / count, 2) if count else None,
                faultless[field],
                dict(issues[field].most_common()),
            )
            for field in FIELDS
        },
        worst=[entry for _, _, entry in sorted(lowest, key=lambda item: (-item[0], -item[1]))],
        validators=tuple(name for name, _, _ in found),
    )


def _refusals(
    found: Iterable[tuple[str, str, Validator]], field: str, lead: Mapping[str, Any]
) -> Iterator[str]:
    for _, of, validator in found:
        if of == field and (code := validator(lead)) is not None:
            yield code
