"""An incident against real processes: the notices sent, and their times."""

import pytest

from leadlog.core.clock import now_us
from leadlog.monitor.state import read_state, write_state
from leadlog.monitor.storage import add_silence, history

MINUTE = 60_000_000
FINE = {
    "disk_free_percent": 40.0,
    "disk_free_mb": 80_000.0,
    "memory_free_percent": 50.0,
    "memory_free_mb": 4_000.0,
}
FULL = FINE | {"disk_free_percent": 1.0, "disk_free_mb": 200.0}


# A burst of errors from 9 to 24, a slow database from 33 to 60, a full disk from 63 to 90,
# Airtable's quota from 78 to 120 with a silence from 75 to 123, kills at 18 and 105.
STATES = [
    (9, "burn_rate:slow", "inactive", "pending"),
    (12, "burn_rate:slow", "pending", "firing"),
    (18, "burn_rate:fast", "inactive", "pending"),
    (21, "burn_rate:fast", "pending", "firing"),
    (33, "latency:add_lead", "inactive", "pending"),
    (33, "latency:get_lead", "inactive", "pending"),
    (33, "latency:update_lead", "inactive", "pending"),
    (39, "latency:add_lead", "pending", "firing"),
    (39, "latency:get_lead", "pending", "firing"),
    (39, "latency:update_lead", "pending", "firing"),
    (42, "burn_rate:fast", "firing", "resolved"),
    (63, "disk", "inactive", "pending"),
    (66, "disk", "pending", "firing"),
    (78, "latency:add_lead", "firing", "resolved"),
    (78, "latency:get_lead", "firing", "resolved"),
    (78, "latency:update_lead", "firing", "resolved"),
    (102, "disk", "firing", "resolved"),
    (108, "rate_limited", "inactive", "firing"),
    (147, "rate_limited", "firing", "resolved"),
    (420, "burn_rate:slow", "firing", "resolved"),
]
TOLD = [
    (15, "[leadlog] warning: burn_rate"),
    (24, "[leadlog] critical: burn_rate"),
    (42, "[leadlog] warning: latency (3)"),
    (45, "[leadlog] warning: burn_rate"),
    (69, "[leadlog] critical: disk"),
    (78, "[leadlog] resolved: latency"),
    (102, "[leadlog] resolved: disk"),
    (126, "[leadlog] warning: rate_limited"),
    (147, "[leadlog] resolved: rate_limited"),
    (300, "[leadlog] still warning: burn_rate"),
    (420, "[leadlog] resolved: burn_rate"),
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_incident_is_told_once_in_its_order(child, webhook, mailbox, logged, tmp_path):
    """Error burst, slow database, full disk, quota, silence, two kills, recovery: exactly these.

    Two processes log, a third one watches; its clock is the script's. Each line of the sequences
    below is (minute, notice).
    """
    directory = tmp_path / "database_logs"
    start = now_us() // MINUTE * MINUTE - 200 * MINUTE
    writers = [child("writer.py", directory), child("writer.py", directory)]
    # Before it, four normal hours serve as the baseline of the latencies.
    for minute in range(-240, 0, 20):
        writers[0].say(at=start + minute * MINUTE, operations=200, syncs=[False])
    urls = f"{webhook.url} {mailbox.url}"
    watcher = child("watcher.py", directory, urls)
    told: list[tuple[int, str]] = []
    for step, minute in enumerate([*range(0, 180, 3), *range(180, 460, 20)]):
        at = start + minute * MINUTE
        writers[step % 2].say(
            at=at,
            operations=60,
            failing=0.6 if 9 <= minute < 24 else 0.0,
            ms=900.0 if 33 <= minute < 60 else 5.0,
            # An occasional sync; for some time Airtable's quota is exhausted.
            syncs=[78 <= minute < 120] if minute % 9 == 0 or minute >= 180 else [],
        )
        if minute == 75:
            with write_state(directory) as connection:
                add_silence(
                    connection,
                    rule="rate_*",
                    label="*",
                    comment="we know",
                    by="ana",
                    created_us=at,
                    ends_us=at + 48 * MINUTE,
                )
        if minute in (18, 105):
            watcher.kill()
            watcher = child("watcher.py", directory, urls)
        gauges = FULL if 63 <= minute < 90 else FINE
        watcher.say(now=at + MINUTE, gauges=gauges)
        told += [(minute, title) for title in webhook.titles[len(told) :]]

    with read_state(directory) as connection:
        changes = [
            ((one.transition.at_us - start) // MINUTE - 1, one.transition)
            for one in reversed(history(connection))
        ]
    sequence = [
        (minute, f"{one.alert.rule}:{one.alert.label}".rstrip(":"), one.before, one.alert.state)
        for minute, one in changes
    ]
    assert sequence == STATES
    assert told == TOLD
    assert mailbox.titles == webhook.titles
    everything = "".join(text for _, text in (*webhook.messages, *mailbox.messages))
    assert "burn_rate fast" in everything  # resolved, while the slow one still fires
    assert "hunter2" not in everything
    # Each transition is also a record of the log.
    records = [
        (one["monitoring_info"]["data_points"]["state_before"], one["alerts"][0]["state"])
        for one in logged("monitoring_data")
        if one["event_name"] == "monitoring.alert"
    ]
    assert records == [(before, after) for _, _, before, after in STATES]
