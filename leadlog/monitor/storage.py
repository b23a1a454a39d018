"""Storage of alerts, sent notices, silences and history in the monitor's SQLite database."""

from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any, Final

import attrs
import orjson

from leadlog.core.clock import new_id
from leadlog.monitor.notification.groups import Group
from leadlog.monitor.silences import Silence
from leadlog.monitor.states import AlertState, Key, Transition

__all__ = [
    "RecordedTransition",
    "add_silence",
    "create",
    "end_silence",
    "history",
    "load_alerts",
    "load_groups",
    "load_silences",
    "recorded",
    "save_alerts",
    "save_transitions",
]

_SCHEMA: Final = (
    (
        "CREATE TABLE IF NOT EXISTS alerts (rule TEXT NOT NULL, label TEXT NOT NULL, "
        "data BLOB NOT NULL, PRIMARY KEY (rule, label)) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS alert_groups (rule TEXT PRIMARY KEY, data BLOB NOT NULL) "
        "WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS transitions (id TEXT PRIMARY KEY, at_us INTEGER NOT NULL, "
        "before TEXT NOT NULL, data BLOB NOT NULL, recorded INTEGER NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE IF NOT EXISTS silences (number INTEGER PRIMARY KEY, rule TEXT NOT NULL, "
        "label TEXT NOT NULL, comment TEXT NOT NULL, made_by TEXT NOT NULL, "
        "created_us INTEGER NOT NULL, ends_us INTEGER NOT NULL)"
    ),
)
_HISTORY_KEPT: Final = 10_000


@attrs.frozen
class RecordedTransition:
    """A change of state in the history.

    Attributes:
        id: its identifier, also the `monitoring_id` of its record.
        transition: the change.
    """

    id: str
    transition: Transition


def create(connection: Connection) -> None:
    """Create the tables if they are missing."""
    for statement in _SCHEMA:
        connection.execute(statement)


def _pack(alert: AlertState) -> bytes:
    return orjson.dumps(attrs.asdict(alert))


def load_alerts(connection: Connection) -> dict[Key, AlertState]:
    """Return the pending and firing alerts."""
    rows = connection.execute("SELECT data FROM alerts ORDER BY rule, label")
    alerts = (AlertState(**orjson.loads(data)) for (data,) in rows)
    return {alert.key: alert for alert in alerts}


def load_groups(connection: Connection) -> dict[str, Group]:
    """Return the notices sent about them, by rule."""
    groups = {}
    for rule, data in connection.execute("SELECT rule, data FROM alert_groups"):
        values: dict[str, Any] = orjson.loads(data)
        told = {label: AlertState(**alert) for label, alert in values.pop("told").items()}
        groups[rule] = Group(told, **values)
    return groups


def save_alerts(
    connection: Connection, alerts: Mapping[Key, AlertState], groups: Mapping[str, Group]
) -> None:
    """Write alerts and groups into the open transaction."""
    connection.execute("DELETE FROM alerts")
    connection.executemany(
        "INSERT INTO alerts VALUES (?, ?, ?)", [(*key, _pack(one)) for key, one in alerts.items()]
    )
    connection.execute("DELETE FROM alert_groups")
    connection.executemany(
        "INSERT INTO alert_groups VALUES (?, ?)",
        [(rule, orjson.dumps(attrs.asdict(group))) for rule, group in groups.items()],
    )


def save_transitions(
    connection: Connection, transitions: list[Transition]
) -> list[RecordedTransition]:
    """Write transitions that have no record in the log yet; return them with identifiers."""
    kept = [RecordedTransition(new_id(), one) for one in transitions]
    connection.executemany(
        "INSERT INTO transitions VALUES (?, ?, ?, ?, 0)",
        [
            (one.id, one.transition.at_us, one.transition.before, _pack(one.transition.alert))
            for one in kept
        ],
    )
    if kept:
        connection.execute(
            "DELETE FROM transitions WHERE recorded AND id <= (SELECT id FROM transitions "
            "ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (_HISTORY_KEPT,),
        )
    return kept


def history(
    connection: Connection, *, rule: str = "", limit: int = -1, unrecorded: bool = False
) -> list[RecordedTransition]:
    """Return changes of state, newest first.

    Args:
        connection: to the state.
        rule: only changes of this rule.
        limit: largest number of changes; all if negative.
        unrecorded: only changes that have no record in the log yet.
    """
    rows = connection.execute(
        "SELECT id, at_us, before, data FROM transitions WHERE (NOT ? OR NOT recorded) "
        "ORDER BY id DESC",
        (unrecorded,),
    )
    found: list[RecordedTransition] = []
    for name, at_us, before, data in rows:
        alert = AlertState(**orjson.loads(data))
        if limit >= 0 and len(found) >= limit:
            break
        if not rule or alert.rule == rule:
            found.append(RecordedTransition(name, Transition(before, alert, at_us)))
    return found


def recorded(connection: Connection, ids: list[str]) -> None:
    """Mark changes as recorded in the log."""
    connection.executemany(
        "UPDATE transitions SET recorded = 1 WHERE id = ?", [(one,) for one in ids]
    )


def load_silences(connection: Connection) -> list[Silence]:
    """Return all silences, including ended ones, by number."""
    rows = connection.execute(
        "SELECT number, rule, label, comment, made_by, created_us, ends_us FROM silences "
        "ORDER BY number"
    )
    return [Silence(*row) for row in rows]


def add_silence(
    connection: Connection,
    *,
    rule: str,
    label: str,
    comment: str,
    by: str,
    created_us: int,
    ends_us: int,
) -> int:
    """Create a silence; return its number."""
    made = connection.execute(
        "INSERT INTO silences (rule, label, comment, made_by, created_us, ends_us) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (rule, label, comment, by, created_us, ends_us),
    )
    return int(made.lastrowid or 0)


def end_silence(connection: Connection, number: int, now_us: int) -> bool:
    """End a silence now; return False if it does not exist or has ended."""
    done = connection.execute(
        "UPDATE silences SET ends_us = ? WHERE number = ? AND ends_us > ?",
        (now_us, number, now_us),
    )
    return done.rowcount > 0
