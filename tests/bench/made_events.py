"""Events as leadlog writes them, made fast and the same for the same seed: millions of them."""

import random
from collections.abc import Iterator
from pathlib import Path

import orjson

from leadlog.core.records import RECORDS, shape
from leadlog_processors.fields import CATEGORIES

KINDS = ("add_lead", "get_lead", "update_lead", "search_leads", "find_duplicates", "delete_lead")
TIERS = ((200, "excellent"), (500, "good"), (2000, "acceptable"), (5000, "slow"))


def tier_of(ms: float) -> str:
    """The label of a duration."""
    return next((tier for limit, tier in TIERS if ms <= limit), "very_slow")


def blank(log_type: str, at_us: int, number: int, date: str) -> dict:
    """An event of a kind with its envelope."""
    seconds, us = divmod(at_us, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{us:06}"
    return {
        **shape.blank(log_type),
        "timestamp": f"{date}T{clock}Z",
        "level": "info",
        "log_type": log_type,
        "event_name": "lead.add",
        "session_id": "abcd1234",
        "event_id": f"{date.replace('-', '')}{number:022x}",
        "schema_version": 1,
        "process_id": 4711,
        "thread_name": "MainThread",
    }


def events(
    date: str, count: int, seed: int = 0, *, sampled: float = 0.0, people: int = 20_000
) -> Iterator[dict]:
    """Events of one day in time order, of all kinds but most of them calls on the store.

    Args:
        date: the UTC day.
        count: how many.
        seed: another one, other events.
        sampled: share of the calls that are kept at a rate.
        people: how many leads there are.
    """
    chance = random.Random(f"{date}/{seed}")
    for number in range(count):
        at_us = number * 86_400_000_000 // count
        ms = round(chance.lognormvariate(3, 1.6), 6)
        kind = number % 50
        if kind == 7:
            event = blank("error_log", at_us, number, date)
            cause = chance.randrange(40)
            event["error_details"] |= {
                "error_type": "database_error",
                "error_id": event["event_id"],
                "error_message": f"no such table: leads_{cause}",
                "fingerprint": f"{cause:016x}",
                "severity": chance.choice(("low", "medium", "critical")),
            }
            event["training_labels"]["recoverable"] = chance.choice((True, False, None))
        elif kind == 13:
            event = blank("sync_operation", at_us, number, date)
            event["sync_details"] |= {"sync_type": "to_airtable", "sync_id": event["event_id"]}
            event["sync_results"] |= {
                "success": chance.random() < 0.9,
                "leads_synced": chance.randrange(50),
                "leads_failed": chance.randrange(3),
                "conflicts_resolved": 0,
                "execution_time_ms": ms * 20,
            }
            event["performance_metrics"]["api_calls_made"] = chance.randrange(9)
        elif kind == 21:
            event = blank("performance_metrics", at_us, number, date)
            event["operation_info"] |= {
                "operation_name": "nightly",
                "operation_id": event["event_id"],
                "total_duration_ms": ms,
                "success": True,
            }
            event["performance_data"] |= {
                "cpu_usage_percent": round(chance.uniform(0, 100), 1),
                "memory_peak_mb": round(chance.uniform(50, 90), 3),
                "api_calls": chance.randrange(4),
            }
            event["training_labels"]["performance_tier"] = tier_of(ms)
        elif kind == 33 and number % 100 == 33:
            event = blank("monitoring_data", at_us, number, date)
            event["monitoring_info"]["monitoring_type"] = "health_check"
        else:
            event = blank("database_operation", at_us, number, date)
            person = chance.randrange(people)
            success = chance.random() < 0.97
            event["operation_details"] |= {
                "operation_type": KINDS[number % len(KINDS)],
                "operation_id": event["event_id"],
                "success": success,
                "outcome": "committed" if success else "failed",
                "records_affected": 1,
                "execution_time_ms": ms,
                "entity": "Lead",
                "bulk": False,
            }
            event["lead_identifier"] |= {
                "lead_id": f"lead-{person:06}",
                "name": f"Person {person}",
                "company": f"Company {person % 700}",
                "email": f"person{person}@company{person % 700}.example",
            }
            event["performance_metrics"] |= {
                "execution_time_ms": ms,
                "database_queries": chance.randrange(1, 5),
                "memory_usage_mb": round(chance.uniform(60, 90), 3),
            }
            event["training_labels"] |= {
                "operation_successful": success,
                "performance_tier": tier_of(ms),
                "data_quality": chance.choice(("high", "medium", "low", None)),
            }
            if sampled and chance.random() < sampled:
                event["sample_rate"] = chance.choice((0.1, 0.3))
        yield event


def write(
    root: Path,
    date: str,
    count: int,
    *,
    seed: int = 0,
    sampled: float = 0.0,
    people: int = 20_000,
) -> dict[str, int]:
    """Write such a day; returns how many events each category has."""
    counts = dict.fromkeys(CATEGORIES.values(), 0)
    streams = {}
    for log_type, category in CATEGORIES.items():
        path = root / category / f"{date}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        streams[log_type] = path.open("wb", buffering=1 << 20)
    assert streams.keys() == RECORDS.keys()
    for event in events(date, count, seed, sampled=sampled, people=people):
        streams[event["log_type"]].write(orjson.dumps(event) + b"\n")
        counts[CATEGORIES[event["log_type"]]] += 1
    for log_type, stream in streams.items():
        stream.close()
        if not counts[CATEGORIES[log_type]]:
            Path(stream.name).unlink()
    return counts
