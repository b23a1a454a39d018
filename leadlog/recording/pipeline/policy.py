"""The policy: the rules by which facts become a record, without any secret.

It is stored next to the rings, so that the facts of a dead process are finished by that process's
rules. The user's processors cannot be stored; records finished without them have `recovered`.
"""

import functools
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import orjson
from structlog.typing import Processor

from leadlog.core.settings import Settings
from leadlog.recording.pipeline.finish import Finisher
from leadlog_processors import privacy
from leadlog_processors.failure import Failure
from leadlog_processors.labels import TrainingLabels
from leadlog_processors.quality import DataQuality
from leadlog_processors.rendering import JSONLine
from leadlog_processors.sampling import Sampling
from leadlog_processors.timing import PerformanceTier, Tiers

_FIELDS: Final = (
    "pii",
    "tier_excellent_ms",
    "tier_good_ms",
    "tier_acceptable_ms",
    "tier_slow_ms",
    "tier_overrides",
    "complexity_size_bytes",
    "complexity_queries",
    "optimization_needed_ms",
    "sampling",
    "line_limit_bytes",
)
_DEFAULTS: Final = Settings()
_STRICTEST: Final[dict[str, Any]] = {
    **{name: getattr(_DEFAULTS, name) for name in _FIELDS},
    "pii": "masked",
    "key": "",
}
"""Policy used if none is known: the defaults, with personal data masked."""


def policy_of(settings: Settings) -> bytes:
    """Return the policy of the settings as a JSON object.

    Instead of the pseudonym key, it contains a check value.
    """
    policy = {name: getattr(settings, name) for name in _FIELDS}
    policy["tier_overrides"] = settings.tier_overrides
    return orjson.dumps({**policy, "key": _check(settings.pseudonym_key)})


def finisher(
    policy: Mapping[str, Any],
    key: str,
    extra: Sequence[Processor] = (),
    *,
    recovered: bool = False,
) -> Finisher:
    """Return the finisher that applies a policy.

    Args:
        policy: a policy in the form of `policy_of`.
        key: the pseudonym key.
        extra: the user's processors; they see the labelled event before anything in it is
            masked.
        recovered: whether the facts are a dead process's.
    """
    general = Tiers(*(policy[name] for name in _FIELDS[1:5]))
    overrides = {name: Tiers(*limits) for name, limits in policy["tier_overrides"].items()}
    processors: list[Processor] = [
        Failure(),
        PerformanceTier(general, overrides),
        DataQuality(),
        TrainingLabels(
            complexity_size_bytes=policy["complexity_size_bytes"],
            complexity_queries=policy["complexity_queries"],
            optimization_needed_ms=policy["optimization_needed_ms"],
        ),
    ]
    if policy["sampling"]:
        processors.append(Sampling(policy["sampling"]))
    return Finisher(
        [*processors, *extra],
        privacy.Privacy(cast(privacy.Policy, policy["pii"]), key.encode() or None),
        JSONLine(policy["line_limit_bytes"], newline=True),
        foreign=bool(extra),
        recovered=recovered,
    )


@functools.lru_cache(maxsize=64)
def finisher_of(policy: bytes | None, key: str = "", *, recovered: bool = True) -> Finisher:
    """Return the finisher for another process's facts; it never masks less than that one did.

    Args:
        policy: the policy stored next to its rings; None, or an unreadable one, is the strictest.
        key: this process's pseudonym key; if it differs from that of the policy, the values are
            masked instead of pseudonymised.
        recovered: whether that process is dead.
    """
    try:
        found = {**_STRICTEST, **orjson.loads(policy or b"")}
        if found["pii"] == "pseudonymised" and not hmac.compare_digest(found["key"], _check(key)):
            found["pii"] = "masked"
        return finisher(found, key, recovered=recovered)
    except (ValueError, TypeError, KeyError):
        return finisher(_STRICTEST, "", recovered=recovered)


def _check(key: str) -> str:
    """Return a check value that shows whether two keys are equal, and nothing else."""
    return hmac.digest(key.encode(), b"leadlog pseudonym key", "sha256").hex() if key else ""
