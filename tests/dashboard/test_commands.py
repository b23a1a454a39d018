"""A view and the commands that it names show the same events and the same figures.

The log has everything that could make them differ: unknown outcomes and durations, records that
were recovered much later, sampled ones, texts with quotes and of any length, a compressed file,
another with a damaged line, and an hour without events.
"""

import os
import random
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
import zstandard
from click.testing import CliRunner

from leadlog.cli import root as leadlog
from leadlog.core.clock import format_us, parse
from leadlog.core.records import shape
from leadlog.dashboard.model import Log
from leadlog.dashboard.views import VIEWS, Asked
from tests.conftest import _unavailable

SOAK = bool(os.environ.get("SOAK"))
pytestmark = pytest.mark.handmade_lines

LONG = "a name that is much longer than what the index keeps of it, " * 3
NAMES = ("ana", 'it\'s "Bo"', "back\\slash $x `y`", LONG, "Zoë 漢字")
FIRST = parse("2026-10-24T22:10:00Z")  # the night in which Paris sets its clocks back
HOUR = 3_600_000_000
DAYS = ("2026-10-24", "2026-10-25")
Pick = Callable[[Sequence[Any]], Any]


def record(log_type: str, at: int, pick: Pick, **more: Any) -> dict[str, Any]:
    """A record with an id and a session."""
    return {
        **shape.blank(log_type),
        "timestamp": format_us(at),
        "level": pick(("info", "warning", "error")),
        "log_type": log_type,
        "event_name": f"{log_type}.{pick(NAMES)}",
        "session_id": f"session{pick('1234')}",
        "event_id": f"{at:030x}",
        "process_id": 1,
        "schema_version": 1,
        "context": pick(({}, {"user": pick(NAMES)}, {"user": pick(NAMES)})),
        **more,
    }


def a_call(at: int, pick: Pick) -> dict[str, Any]:
    """A call whose outcome, duration, class, tier and rate may be any."""
    outcome, success = pick(
        (
            ("committed", True),
            ("failed", False),
            ("unknown", None),
            ("rolled_back", False),
            (None, None),
            ("completed", True),
        )
    )
    made = record("database_operation", at, pick)
    made["operation_details"] |= {
        "operation_type": pick(("create", "update", "add_lead", *NAMES)),
        "entity": pick(("Deal", "Contact", None, LONG, "It's")),
        "outcome": outcome,
        "success": success,
        "execution_time_ms": pick((None, 40.0, 99.9996, 100.0, 100.0004, 249.5)),
        "bulk": False,
    }
    made["lead_identifier"]["lead_id"] = pick("01234")
    made["training_labels"] |= {
        "performance_tier": pick((None, "good", "slow")),
        "data_quality": pick((None, "low")),
        "data_quality_score": pick((None, 0.333, 0.5, 0.871)),
        "data_quality_issues": pick((["no_email"], [], ["no_email", "no_name"])),
    }
    if pick(range(9)) == 0:
        made["sample_rate"] = 0.25
    if pick(range(9)) == 0:
        made["recovered"] = True
    return made


def an_error(at: int, pick: Pick) -> dict[str, Any]:
    """An error, some without a fingerprint."""
    made = record("error_log", at, pick)
    made["error_details"] |= {
        "error_type": pick(("database_error", "it's")),
        "exception_class": "sqlalchemy.exc.IntegrityError",
        "error_message": pick(NAMES),
        "fingerprint": pick(("abc0", "abc1", None)),
        "severity": "high",
    }
    made["context"] = {"operation_in_progress": pick(("add_lead", None)), "user": "ana"}
    return made


def another(at: int, pick: Pick) -> dict[str, Any]:
    """Return a measurement, a sync, a migration, or an event of the application."""
    success = pick((True, False, None))
    log_type = pick([*FOLDERS][2:])
    made = record(log_type, at, pick)
    if log_type == "performance_metrics":
        made["operation_info"] |= {
            "operation_name": pick(("import", "it's")),
            "success": success,
            "total_duration_ms": pick((12.0, None, 400.0)),
        }
        made["training_labels"]["performance_tier"] = "good"
    elif log_type == "sync_operation":
        made["sync_details"]["sync_type"] = "to_airtable"
        made["sync_results"] |= {"success": success, "execution_time_ms": 900.0}
    elif log_type == "migration_operation":
        made["migration_details"]["migration_type"] = "json_to_db"
        made["migration_results"] |= {"success": success, "execution_time_ms": 100.0}
    else:
        made["monitoring_info"]["monitoring_type"] = "application_event"
    return made


FOLDERS = {
    "database_operation": "database_operations",
    "error_log": "error_logs",
    "performance_metrics": "performance_metrics",
    "sync_operation": "sync_operations",
    "migration_operation": "migration_operations",
    "monitoring_data": "monitoring_data",
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory):
    """The log: six hours over two days, the third of which is empty."""
    root = tmp_path_factory.mktemp("it's a log") / "database logs"
    lines: dict[tuple[str, str], list[bytes]] = {}
    pick = random.Random(23).choice
    for minute in range(360):
        at = FIRST + minute * HOUR // 60
        if FIRST + 2 * HOUR <= at < FIRST + 3 * HOUR:
            continue
        made = pick((a_call, a_call, a_call, an_error, another))(at, pick)
        lines.setdefault((FOLDERS[made["log_type"]], made["timestamp"][:10]), []).append(
            orjson.dumps(made) + b"\n"
        )
    for (category, day), own in lines.items():
        path = root / category / f"{day}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        if category == "database_operations" and day == DAYS[0]:
            packed = zstandard.compress(b"".join(own))
            path.with_name(f"{day}.jsonl.zst").write_bytes(packed)
            continue
        own.append(own.pop(0))  # recovered, long after those that follow
        if category == "database_operations":
            own.insert(3, b'{"timestamp": "2026-10-25T00:0\n')
        path.write_bytes(b"".join(own))
    with Log(root) as opened:
        opened.catch_up()
        yield opened


@pytest.fixture
def ask(log) -> Callable[..., dict[str, Any]]:
    """Ask a view, as the page gets it."""

    def view(name: str, **given: str) -> dict[str, Any]:
        told = VIEWS[name](Asked(log, given))
        found: dict[str, Any] = orjson.loads(orjson.dumps(told))
        return found

    return view


@pytest.fixture
def jq() -> Callable[[str], list[Any]]:
    """Run a jq line as a shell does."""
    if shutil.which("jq") is None or shutil.which("zstdcat") is None:
        _unavailable("jq or zstdcat is not installed")

    def run(line: str) -> list[Any]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], capture_output=True, check=True, timeout=60
        )
        return [orjson.loads(one) for one in done.stdout.splitlines()]

    return run


def command(line: str, *codes: int) -> Any:
    """Run a command of leadlog, and return its JSON."""
    words = shlex.split(line)
    assert words[0] == "leadlog"
    done = CliRunner().invoke(leadlog, [*words[1:], "--json"], prog_name="leadlog")
    assert done.exit_code in (0, *codes), done.stderr
    return orjson.loads(done.stdout)


WHOLE = {"since": "2026-10-24", "until": "2026-10-26"}
PARTS = {"since": "2026-10-24T23:07:11.5Z", "until": "2026-10-25T03:00:00.000001Z"}
OPTIONS = ["--since", "2026-10-24T00:00:00.000000Z", "--until", "2026-10-26T00:00:00.000000Z"]
OPTIONS.append("--directory")
EMPTY = {"since": "2026-10-25T00:10:00Z", "until": "2026-10-25T01:10:00Z"}
FILTERS = (
    "",
    "category:database_operations",
    "category:sync_operations category:error_logs",
    "-category:error_logs",
    "failed:yes",
    "failed:no",
    "-failed:yes",
    "outcome:unknown outcome:failed",
    "-outcome:committed",
    "operation:Deal.create",
    "operation:Deal.create operation:add_lead -tier:slow",
    "operation:import",
    "tier:good",
    "-tier:good level:error",
    'entity:It\'s user:"it\'s \\"Bo\\""',
    'user:"back\\\\slash $x `y`"',
    "ms>=100",
    "ms>100 ms<=250",
    "ms<=100",
    "ms<100 category:database_operations",
    "error:it's",
    "fingerprint:abc1",
    "fingerprint:database_error",
    "monitoring:application_event",
    "session:session1 failed:yes",
    "key:3",
    "quality:low -entity:Deal",
    "outcome:none_such",
    "outcome:committed monitoring:application_event",
)


def ids(found: list[dict[str, Any]]) -> list[str]:
    return sorted(one["event_id"] for one in found)


@pytest.mark.parametrize("period", [WHOLE, PARTS, EMPTY], ids=["whole", "parts", "empty"])
def test_jq_finds_the_events_of_every_filter(ask, jq, period):
    """The jq line of every filter finds exactly the events that the page counts and lists."""
    nothing = []
    for text in FILTERS if period is not EMPTY else ("", "failed:yes"):
        told = ask("explore", **period, f=text)
        found = jq(told["commands"]["jq"])
        assert ids(found) == ids(told["rows"]), (text, told["commands"]["jq"])
        meant = sum(1 / one.get("sample_rate", 1) for one in found)
        assert told["found"]["total"] == pytest.approx(meant), text
        nothing += [] if found else [text]
    assert nothing == (["", "failed:yes"] if period is EMPTY else [*FILTERS[-2:]])


@pytest.fixture(scope="module")
def queried(log) -> dict[str, list[dict[str, Any]]]:
    """Run all `leadlog query` commands of a period, in one process; SQL to rows."""
    views = [("now", ""), ("runs", ""), ("quality", "")]
    views += [("explore", text) for text in (FILTERS if SOAK else FILTERS[::3])]
    found = {}
    for name, text in views:
        told = VIEWS[name](Asked(log, {**WHOLE, "f": text}))
        words = shlex.split(told["commands"]["leadlog"])
        assert (words[:2], words[3:]) == (["leadlog", "query"], [*OPTIONS, str(log.directory)])
        found[words[2]] = f"c{len(found)}"
    columns = (f"(SELECT list(t) FROM ({sql}) t) AS {name}" for sql, name in found.items())
    query = ["query", f"SELECT {', '.join(columns)}", *OPTIONS, str(log.directory)]
    (row,) = command(shlex.join(["leadlog", *query]))
    return {sql: row[name] or [] for sql, name in found.items()}


def sql_of(told: dict[str, Any]) -> str:
    """The statement in a view's command."""
    return shlex.split(told["commands"]["leadlog"])[2]


def test_leadlog_finds_the_events_of_every_filter(ask, queried):
    """`leadlog query` finds the events of every filter, in whatever tables they are."""
    for text in FILTERS if SOAK else FILTERS[::3]:
        told = ask("explore", **WHOLE, f=text)
        assert ids(queried[sql_of(told)]) == ids(told["rows"]), text


def test_every_value_of_a_facet_is_counted_and_found(ask, jq):
    """Every facet value is found, including quoted and truncated ones, with any other filter."""
    for other in ("", "ms>=100 session:session1 "):
        told = ask("explore", **WHOLE, f=other)
        for facet in told["found"]["facets"]:
            hard = [value for value, _ in facet["values"] if not value.isidentifier()]
            for value, n in facet["values"]:
                quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                one = ask("explore", **WHOLE, f=f"{other}{facet['name']}:{quoted}")
                assert one["found"]["total"] == pytest.approx(n), (facet["name"], value)
                if not other and value in hard[:3]:
                    assert ids(jq(one["commands"]["jq"])) == ids(one["rows"]), value


def meant(events: list[dict[str, Any]]) -> float:
    """Return the number of events that some represent, with sampled ones weighted."""
    return sum(1 / one.get("sample_rate", 1) for one in events)


def test_now_says_what_its_commands_say(ask, jq, queried):
    """Tiles, operations, their failures and percentiles; the jq line has each call."""
    told = ask("now", **WHOLE)
    present = told["now"]
    lines = jq(told["commands"]["jq"])
    calls, failed, p95, errors = (tile["value"] for tile in present["tiles"])
    assert calls == pytest.approx(sum(1 / (one[-1] or 1) for one in lines))
    assert sum(present["chart"]["calls"]) == pytest.approx(calls)
    assert sum(present["chart"]["errors"]) == errors
    assert sum(present["chart"]["failed"]) == pytest.approx(
        sum(1 / (one[-1] or 1) for one in lines if one[3] is False)
    )
    assert failed == pytest.approx(
        sum(1 / (one[-1] or 1) for one in lines if one[3] is False)
        / sum(1 / (one[-1] or 1) for one in lines if one[3] is not None)
    )
    durations = sorted(
        one[4]
        for one in lines
        for _ in range(round(4 / (4 * (one[-1] or 1))))
        if one[4] is not None
    )
    assert p95 == pytest.approx(durations[-(-95 * len(durations) // 100) - 1], rel=0.011)
    found = {
        (one["log_type"], one["operation"][:119]): one
        for one in command(told["commands"]["leadlog"])
    }
    shown = {(TYPES[one["category"]], one["name"][:119]): one for one in present["operations"]}
    assert found.keys() == shown.keys()
    for key, one in shown.items():
        other = found[key]
        assert (round(one["n"]), round(one["failed"])) == (other["calls"], other["failed"]), key
        assert one["total_ms"] == pytest.approx(other["total_ms"] or 0, rel=1e-4), key
        if not one["approx"]:
            assert one["p50"] == pytest.approx(other["p50"], rel=0.011), key
            assert one["p95"] == pytest.approx(other["p95"], rel=0.011), key


TYPES = {category: log_type for log_type, category in FOLDERS.items()}


def test_errors_say_what_their_commands_say(ask, jq):
    """Groups with counts and their last time in the period; one group with all of its errors."""
    for period in (WHOLE, PARTS):
        told = ask("errors", **period)
        groups = {one["fingerprint"]: (one["events"], one["last_seen"]) for one in told["groups"]}
        found = command(told["commands"]["leadlog"], 1)
        assert groups == {one["fingerprint"]: (one["events"], one["last_seen"]) for one in found}
        assert sum(n for n, _ in groups.values()) == len(jq(told["commands"]["jq"]))
    for fingerprint in ("abc0", "it's"):
        one = ask("error", **PARTS, fingerprint=fingerprint)
        assert one["of"] == len(jq(one["commands"]["jq"])) > 0
        (other,) = command(one["commands"]["leadlog"], 1)
        assert (one["of"], one["event_id"]) == (other["events"], other["last_event_id"])


def test_a_row_a_session_and_an_event_say_what_their_commands_say(ask, jq):
    """The commands of a row, a session and an event return the same entries, events and record."""
    told = ask("entity", key="3", reads="1")
    entries = {entry["event_id"] for row in told["rows"] for entry in row["entries"]}
    found = command(told["commands"]["leadlog"])
    assert entries == {entry["event_id"] for row in found for entry in row["entries"]}
    named = [entry for row in told["rows"] for entry in row["entries"] if entry["named"]]
    assert len(named) == len(jq(told["commands"]["jq"])) > 0
    told = ask("session", id="session2")
    found = jq(told["commands"]["jq"])
    assert ids(told["session"]["bars"]) == ids(found)
    assert ids(command(told["commands"]["leadlog"])) == ids(found)
    assert told["session"]["events"] == len(found)
    (row, *_) = ask("explore", **WHOLE)["rows"]
    told = ask("event", number=str(row["number"]))
    (found,) = jq(told["commands"]["jq"])
    assert orjson.loads(told["record"]) == found
    assert command(told["commands"]["leadlog"])["record"] == found


def test_runs_and_quality_say_what_their_commands_say(ask, jq, queried):
    """Syncs and migrations alike; scores of whole days, with their exact means."""
    told = ask("runs", **WHOLE)
    shown = [(one["at"], one["type"], one["success"], one["ms"]) for one in told["runs"]["runs"]]
    found = queried[sql_of(told)]
    assert shown == [
        (one["timestamp"], one["type"], one["success"], one["execution_time_ms"]) for one in found
    ]
    assert told["runs"]["total"] == len(jq(told["commands"]["jq"])) == len(found) > 0
    told = ask("quality", **PARTS)
    quality = told["quality"]
    found = queried[sql_of(ask("quality", **WHOLE))]
    assert [*quality["days"]] == [one["day"] for one in found]
    assert [sum(cells) for cells in quality["cells"]] == [one["calls"] for one in found]
    assert quality["means"] == pytest.approx([one["mean"] for one in found], abs=0.0005)
    lines = jq(told["commands"]["jq"])
    scores = [one for one, _ in lines]
    assert quality["total"] == len(scores)
    assert quality["mean"] == pytest.approx(sum(scores) / len(scores), abs=0.0005)
    issues = Counter(issue for _, own in lines for issue in own)
    assert {one["code"]: one["leads"] for one in quality["issues"]} == issues
