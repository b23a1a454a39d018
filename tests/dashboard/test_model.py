"""The model of the log: pages, report and `top` agree with the files."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import orjson
import pytest
import zstandard

from leadlog.core.clock import format_us, parse
from leadlog.core.errors import LeadlogError
from leadlog.core.layout import log_files
from leadlog.dashboard import app
from leadlog.dashboard.model import (
    Log,
    differences,
    entity,
    error_detail,
    error_groups,
    explore,
    filter_of,
    heatmap,
    now,
    quality,
    rows,
    rows_after,
    runs,
    session,
    window,
)
from leadlog.reading.index import Index
from leadlog.reading.merged import read_merged
from leadlog.reading.shipments import Shipments
from tests.bench.made_events import blank, write
from tests.training.test_in_use import duration_model

pytestmark = pytest.mark.handmade_lines

DAYS = ("2026-11-01", "2026-11-02", "2026-11-09")
NOW = parse("2026-11-10T00:00:00Z")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three days of a log."""
    for day in DAYS:
        write(tmp_path / "log", day, 1_200, people=20)
    return tmp_path / "log"


@pytest.fixture
def log(root):
    with Log(root) as opened:
        opened.catch_up()
        yield opened


def events(root: Path, since: str = "", until: str = "9") -> list[dict]:
    return [e.data for e in read_merged(root) if since <= e.timestamp < until]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-11-01", "2026-11-10"),
        ("2026-11-01T00:00:00.5Z", "2026-11-02T13:07:11Z"),
        ("2026-11-02T10:01:00Z", "2026-11-02T10:09:00Z"),
        ("2026-11-01T23:50:00Z", "2026-11-02T00:20:00Z"),
    ],
)
def test_counts_of_any_period_are_those_of_the_files(log, root, since, until):
    """Whole days and hours from roll-ups, the rest from single events: together all of them."""
    period = window(since, until, now=NOW)
    told = events(root, period.since_text, period.until_text)
    found = explore(log, period, filter_of(""))
    assert found.total == len(told) == sum(found.well) + sum(found.failed)
    by_category = dict(next(facet for facet in found.facets if facet.name == "category").values)
    assert by_category == Counter(
        {
            "database_operation": "database_operations",
            "sync_operation": "sync_operations",
            "performance_metrics": "performance_metrics",
            "error_log": "error_logs",
            "monitoring_data": "monitoring_data",
        }[one["log_type"]]
        for one in told
    )
    failed = sum(one.get("operation_details", {}).get("success") is False for one in told)
    present = now(log, period)
    assert sum(present.chart.failed) == pytest.approx(failed)
    calls = [one for one in told if one["log_type"] == "database_operation"]
    assert present.tiles[0].value == len(calls)


def test_percentiles_are_those_of_the_durations_within_one_percent(log, root):
    """The p95 of an operation, and of all of them."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    told = [one for one in events(root) if one["log_type"] == "database_operation"]
    durations = sorted(one["operation_details"]["execution_time_ms"] for one in told)
    exact = durations[-(-len(durations) * 95 // 100) - 1]
    assert now(log, period).tiles[2].value == pytest.approx(exact, rel=0.011)


def test_sampled_events_count_as_many_as_were_meant(tmp_path):
    """Sampled events are weighted, and the count is marked as an estimate."""
    write(tmp_path / "log", DAYS[0], 1_000, sampled=1.0)
    told = events(tmp_path / "log")
    meant = sum(1 / one.get("sample_rate", 1.0) for one in told)
    with Log(tmp_path / "log") as opened:
        opened.catch_up()
        found = explore(opened, window("2026-11-01", "2026-11-02", now=NOW), filter_of(""))
    assert found.total == pytest.approx(meant)
    assert found.total > len(told)
    assert found.approx


def test_what_was_a_week_before_is_known_only_where_the_log_reaches_so_far(log):
    """The value of a week that is not in the log is unknown, not 0."""
    assert now(log, window("2026-11-09", "2026-11-10", now=NOW)).tiles[0].before is not None
    assert now(log, window("2026-11-02", "2026-11-03", now=NOW)).tiles[0].before is None


def test_a_filter_takes_what_it_says_and_its_own_facet_stays_whole(log, root):
    """Values of one facet are alternatives, facets and limits hold together."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    wanted = filter_of("operation:add_lead operation:get_lead failed:yes ms>=50")
    shown = rows(log, period, wanted)
    told = [
        one
        for one in events(root)
        if one["log_type"] == "database_operation"
        and one["operation_details"]["operation_type"] in {"add_lead", "get_lead"}
        and one["operation_details"]["success"] is False
        and one["operation_details"]["execution_time_ms"] >= 50
    ]
    assert {one.event_id for one in shown} == {one["event_id"] for one in told}
    assert told
    found = explore(log, period, wanted)
    assert found.total == len(told)
    operations = dict(next(one for one in found.facets if one.name == "operation").values)
    assert "search_leads" in operations
    without = explore(log, period, filter_of("-category:database_operations"))
    assert without.total == sum(1 for o in events(root) if o["log_type"] != "database_operation")


@pytest.mark.parametrize("text", ["operatoin:add", "plain words", "ms:5", "ms>=soon", "-user:ana"])
def test_a_filter_that_cannot_be_understood_says_how_to_write_it(text):
    """The error of a malformed filter lists the known words."""
    with pytest.raises(LeadlogError, match=r"operation|number"):
        filter_of(text)


def test_a_heatmap_has_every_duration_and_a_box_tells_what_differs_in_it(log, root):
    """Long calls are of the slow tiers."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    found = heatmap(log, period, filter_of("category:database_operations"))
    told = [one for one in events(root) if one["log_type"] == "database_operation"]
    assert sum(map(sum, found.cells)) == len(told)
    assert len(found.edges) == len(found.cells[0]) + 1
    different = differences(log, period, filter_of(""), box=period, low_ms=2_000.001, high_ms=1e9)
    assert ("tier", "slow") in {(one.facet, one.value) for one in different}
    assert all(one.inside > (one.outside or 0) for one in different)


def test_error_groups_are_by_cause_with_their_first_and_last_time(log, root):
    """Groups are sorted newest first, with a sample; the detail links its neighbours."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    told = [one for one in events(root) if one["log_type"] == "error_log"]
    with log.figures() as figures:
        groups = error_groups(log, figures, period)
    counted = Counter(one["error_details"]["fingerprint"] for one in told)
    assert {one.fingerprint: one.events for one in groups} == counted
    group = next(one for one in groups if one.events > 1)
    own = [one for one in told if one["error_details"]["fingerprint"] == group.fingerprint]
    assert (group.first_seen, group.last_seen) == (own[0]["timestamp"], own[-1]["timestamp"])
    assert group.message == own[-1]["error_details"]["error_message"]
    detail = error_detail(log, period, group.fingerprint)
    assert detail is not None
    assert (detail.place, detail.of, detail.next) == (1, len(own), None)
    older = error_detail(log, period, group.fingerprint, detail.previous)
    assert older is not None
    assert older.record["event_id"] == own[-2]["event_id"]
    assert error_detail(log, period, "no such cause") is None


def test_runs_say_what_was_expected_and_how_far_each_destination_is_behind(log, root):
    """Runs have an expected duration if there is a model, and shipping lags if logs are shipped."""
    period = window("2026-11-09", "2026-11-10", now=NOW)
    before = runs(log, period)
    assert {run.expected_ms for run in before.runs} == {None}
    assert before.shipping == ()
    duration_model(root / "models" / "duration", 90_000.0)
    with Shipments(root, "elk") as shipments:
        shipments.put(target="https://elk.example", error="refused")
        lost = [("too large", None, None, 3), ("gone", 1, 9, None)]
        shipments.commit({}, at_us=NOW, dropped=lost)
    after = runs(log, period)
    assert {round(run.expected_ms or 0) for run in after.runs} == {90_000}
    (one,) = after.shipping
    assert (one.name, one.target, one.error) == ("elk", "https://elk.example", "refused")
    assert (one.refused, one.dropped) == (0, {"too large": 3, "gone": None})
    assert one.files == sum(1 for file in log_files(root) if not file.archived)
    assert one.seconds == (NOW - parse("2026-11-01T00:00:00Z")) / 1e6
    (root / ".shipping" / "elk.sqlite3").write_bytes(b"not a database, whatever its name says")
    (one,) = runs(log, period).shipping
    assert (one.seconds, one.dropped) == (None, None)
    assert "leadlog ship forget elk" in (one.error or "")


def test_runs_entities_sessions_and_quality_come_from_the_same_index(log, root):
    """Runs, rows, sessions and quality agree with the records."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    told = events(root)
    syncs = [one for one in told if one["log_type"] == "sync_operation"]
    found = runs(log, period)
    assert found.total == len(syncs)
    assert [one.event_id for one in found.runs] == [
        one["event_id"] for one in reversed(syncs[-200:])
    ]
    key = "lead-000003"
    (row,) = entity(log, key).rows
    calls = [one for one in told if one.get("lead_identifier", {}).get("lead_id") == key]
    assert [one["event_id"] for one in row.entries if one["named"]] == [
        one["event_id"] for one in reversed(calls)
    ]
    assert entity(log, "nobody").rows == ()
    made = session(log, "abcd1234")
    assert made is not None
    assert made.events == len(told)
    assert session(log, "nothing0") is None
    scores = [
        score
        for one in told
        if (score := one["training_labels"].get("data_quality_score")) is not None
    ]
    assert quality(log, period).total == len(scores)


def test_pages_of_rows_have_each_event_once_even_those_of_one_moment(tmp_path):
    """The next page begins behind the last row, not behind its millisecond."""
    path = tmp_path / "log" / "monitoring_data" / f"{DAYS[0]}.jsonl"
    path.parent.mkdir(parents=True)
    at = parse(f"{DAYS[0]}T10:00:00Z")
    path.write_bytes(
        b"".join(
            orjson.dumps({"timestamp": format_us(at + n // 3), "event_id": f"e{n}"}) + b"\n"
            for n in range(20)
        )
    )
    period, before, found = window(DAYS[0], DAYS[1], now=NOW), None, []
    with Log(tmp_path / "log") as opened:
        opened.catch_up()
        while page := rows(opened, period, filter_of(""), before=before, most=7):
            found += [one.event_id for one in page]
            before = parse(page[-1].at), page[-1].number
    assert found == [f"e{n}" for n in reversed(range(20))]


def test_events_are_told_once_by_their_numbers_whatever_comes_between(log, root):
    """New events are returned once, in order of arrival; compressing a file repeats none."""
    with log.figures() as figures:
        generation, last = figures.position()
    path = root / "database_operations" / f"{DAYS[2]}.jsonl"
    line = orjson.loads(path.read_bytes().splitlines()[0])
    with path.open("ab") as stream:
        for number in range(5):
            line["event_id"] = f"new-{number}"
            stream.write(orjson.dumps(line) + b"\n")
    log.catch_up()
    first, position, looked = rows_after(log, last, filter_of(""), 3)
    second, position, _ = rows_after(log, position, filter_of(""), 3)
    assert looked == 3
    assert {one.event_id for one in (*first, *second)} == {f"new-{n}" for n in range(5)}
    assert [one.event_id for one in first] == ["new-2", "new-1", "new-0"]
    early = parse(line["timestamp"])
    assert rows_after(log, last, filter_of(""), 3, since=early)[0] == first
    assert rows_after(log, last, filter_of(""), 3, since=early + 1) == ((), first[0].number, 3)
    path.with_name(f"{path.name}.zst").write_bytes(
        zstandard.ZstdCompressor().compress(path.read_bytes())
    )
    path.unlink()
    log.catch_up()
    assert rows_after(log, position, filter_of(""), 3) == ((), position, 0)
    with log.figures() as figures:
        assert figures.position() == (generation, position)
    period = window("2026-11-01", "2026-11-10", now=NOW)
    assert explore(log, period, filter_of("")).total == len(events(root))


@pytest.mark.parametrize(
    "view",
    [
        lambda log, period: now(log, period),
        lambda log, period: explore(log, period, filter_of("")),
        lambda log, period: explore(log, period, filter_of("ms>1")),
        lambda log, period: heatmap(log, period, filter_of("")),
        lambda log, period: rows(log, period, filter_of("")),
        lambda log, period: runs(log, period),
    ],
    ids=["now", "explore", "filtered", "heatmap", "rows", "runs"],
)
def test_a_kind_that_is_indexed_while_a_view_is_read_is_in_the_next_one(
    log, root, monkeypatch, view
):
    """A view is of one moment: of before, whichever of its queries a new kind comes after."""
    period = window("2026-11-01", "2026-11-09T23:59:59.5Z", now=NOW)
    path = root / "database_operations" / f"{DAYS[2]}.jsonl"
    line = orjson.loads(path.read_bytes().splitlines()[0])
    ask, left, added = Index.ask, [-1], 0

    def interrupted(index, sql, parameters=()):
        found = ask(index, sql, parameters)
        left[0] -= sql.startswith("SELECT")
        if left[0] == 0 and sql.startswith("SELECT"):
            line["operation_details"]["operation_type"] = f"new_{added}"
            with path.open("ab") as stream:
                stream.write(orjson.dumps(line) + b"\n")
            with Index(root) as other:
                other.catch_up()
                other.add_up()
        return found

    monkeypatch.setattr(Index, "ask", interrupted)
    known = view(log, period)
    while left[0] < 0 and added < 8:
        left[0] = added + 1
        assert view(log, period) == known, added
        added += 1
        known = view(log, period) if left[0] < 0 else known
    assert added > 1


def test_a_file_that_was_replaced_is_counted_anew_and_followers_are_told(log, root):
    """A replaced file starts a new generation, and its old counts leave the roll-ups."""
    with log.figures() as figures:
        generation, _ = figures.position()
    path = root / "database_operations" / f"{DAYS[0]}.jsonl"
    draft = path.with_name("draft")
    draft.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[10:400]))
    draft.replace(path)
    log.catch_up()
    with log.figures() as figures:
        assert figures.position()[0] != generation
    period = window("2026-11-01", "2026-11-10", now=NOW)
    assert explore(log, period, filter_of("")).total == len(events(root))
    (root / "error_logs" / f"{DAYS[1]}.jsonl").unlink()
    log.catch_up()
    assert explore(log, period, filter_of("")).total == len(events(root))


def test_an_index_that_was_erased_is_made_anew(log, root):
    """While the log is open: `leadlog erase` removes the index."""
    period = window("2026-11-01", "2026-11-10", now=NOW)
    before = explore(log, period, filter_of(""))
    for path in (root / ".index").iterdir():
        path.unlink()
    log.catch_up()
    assert explore(log, period, filter_of("")) == before


def test_a_log_with_something_in_the_index_s_place_is_indexed_elsewhere(root):
    """If the index cannot be created, it is in a temporary folder that is removed at the end."""
    (root / ".index").write_text("in the way")
    with Log(root) as opened:
        opened.catch_up()
        assert not opened.own_index
        period = window("2026-11-01", "2026-11-10", now=NOW)
        assert explore(opened, period, filter_of("")).total == len(events(root))


def test_a_moment_shows_the_row_as_it_was(tmp_path):
    """Old and new values are in the timeline; the row is as of the moment that was asked for."""
    from leadlog import LeadDatabase, configure, flush

    configure(directory=tmp_path / "log")
    with LeadDatabase(f"sqlite:///{tmp_path / 'leads.db'}") as store:
        key = store.add_lead({"name": "Ana", "company": "Acme", "email": "ana@acme.example"})
        store.update_lead(key, {"title": "CTO"})
        store.update_lead(key, {"title": "CEO"})
    flush()
    with Log(tmp_path / "log") as opened:
        opened.catch_up()
        (row,) = entity(opened, key).rows
        last, middle, _ = row.entries
        assert last["changes"]["title"] == {"old": "CTO", "new": "CEO"}
        assert row.row is not None
        assert row.row["title"] == "CEO"
        (before,) = entity(opened, key, at=parse(middle["at"])).rows
        assert before.row is not None
        assert before.row["title"] == "CTO"


def test_numbers_that_no_browser_can_hold_are_shown_as_they_are(tmp_path):
    """Keys of 64 bits in a row's history, and in the rows of a query."""
    path = tmp_path / "log" / "database_operations" / f"{DAYS[0]}.jsonl"
    path.parent.mkdir(parents=True)
    made = blank("database_operation", 0, 1, DAYS[0])
    made["operation_details"] |= {
        "operation_type": "create",
        "entity": "Deal",
        "success": True,
        "outcome": "committed",
    }
    made["lead_identifier"]["lead_id"] = "7"
    large = (1 << 53) + 1
    made["data_details"] |= {
        "change": "create",
        "fields_changed": {"id": {"new": 7}, "owner": {"new": large}, "n": {"new": large - 2}},
    }
    path.write_bytes(orjson.dumps(made) + b"\n")
    token = "a" * 24
    site = app(tmp_path / "log", token=token, hosts=["crm.example"])

    async def visit():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=site),
            base_url="http://crm.example",
            headers={"authorization": f"Bearer {token}"},
        ) as client:
            for _ in range(200):
                told = (await client.get("/api/entity?key=7")).json()
                if told["rows"]:
                    break
                await asyncio.sleep(0.05)
            sql = f"SELECT {large} AS large, {large - 2} AS small"
            answer = await client.post("/api/sql", json={"name": "one", "sql": sql})
            return told, answer.json()

    try:
        told, answer = asyncio.run(visit())
    finally:
        site.close()
    (row,) = told["rows"]
    assert (row["row"]["owner"], row["row"]["n"]) == (str(large), large - 2)
    assert answer["rows"] == [[str(large), large - 2]]


@pytest.mark.parametrize(
    ("since", "until", "step"),
    [("1h", None, 30), ("24h", None, 900), ("7d", None, 7_200), ("15m", None, 10)],
)
def test_a_period_has_about_a_hundred_slots(since, until, step):
    """However long it is."""
    period = window(since, until, now=NOW)
    assert period.step == step
    assert 60 <= len(period.slots()) <= 122
    assert period.live
    assert period.until_text == format_us(NOW)


def test_a_period_that_ends_before_it_begins_is_refused():
    """The error of a period that ends before it begins names both ends."""
    with pytest.raises(LeadlogError, match="swap"):
        window("2026-11-02", "2026-11-01", now=NOW)
    with pytest.raises(LeadlogError, match="point in time"):
        window("soon", now=NOW)
