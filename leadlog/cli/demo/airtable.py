"""`leadlog demo --airtable`: a two-way sync with edits on both sides, without an account."""

from pathlib import Path
from typing import Any

import click

from leadlog.cli.terminal import safe

__all__ = ["run", "show"]

_SECONDS = 3600.0


class _Clock:
    """A simulated clock, on which sleeping takes no real time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def run(count: int, directory: Path | None, database: str | None) -> dict[str, Any]:
    """Fill a store, sync it with a fake Airtable, edit both sides, and sync again.

    Args:
        count: Number of made-up leads.
        directory: The log directory; that of the settings by default.
        database: The store's URL; in memory by default, because the table does not outlive the run.

    Returns:
        The result of each sync, and whether both sides are equal.
    """
    import leadlog
    from leadlog.leads.airtable.pace import Paces
    from leadlog.testing import FakeAirtable, generate_leads

    leadlog.configure(directory=directory, database=database)
    clock = _Clock()
    steps: list[dict[str, Any]] = []
    with (
        FakeAirtable(clock=clock) as airtable,
        leadlog.LeadDatabase(database or ":memory:") as store,
        leadlog.session(job="demo airtable") as session_id,
    ):
        ids = store.add_leads(generate_leads(count)).ids
        manager = leadlog.AirtableSyncManager(
            store,
            api_key=airtable.api_key,
            base_id=airtable.base_id,
            table=airtable.table_name,
            endpoint_url=airtable.endpoint_url,
            modified_field="Last Modified",
            paces=Paces(clock, clock.sleep),
        )

        def sync(what: str) -> None:
            result = manager.bidirectional_sync()
            steps.append({"step": what, **result.counts(), "success": result.success})
            steps[-1]["conflict_fields"] = [one.as_dict() for one in result.conflicts]

        sync("first sync: every lead becomes a row")
        rows = {record["fields"]["Lead ID"]: record["id"] for record in airtable.records()}
        clock.sleep(_SECONDS)
        first, second = ids[0], ids[1 % len(ids)]
        store.update_lead(first, {"title": "Chief Trying Officer"})
        clock.sleep(_SECONDS)
        airtable.edit(rows[first], {"Job Title": "Head of Trying", "Location": "Lisbon"})
        airtable.create({"Full Name": "Petra Person", "Email": "petra@demo.example"})
        if second != first:
            airtable.delete(rows[second])
        sync("a person edited, added and deleted rows, and the store changed a lead")
        sync("nothing changed: nothing is written")
        titles = {
            r["fields"].get("Lead ID"): r["fields"].get("Job Title") for r in airtable.records()
        }
        leads = {lead["id"]: lead["title"] for lead in store.get_all_leads()}
        counters = airtable.counters
        equal = titles == leads
        counted = manager.wire.attempts == counters.calls
    leadlog.flush()
    return {
        "session_id": session_id,
        "leads": len(leads),
        "steps": steps,
        "api_calls": counters.calls,
        "most_calls_in_a_second": counters.max_per_second,
        "counts_agree": counted,
        "equal": equal,
        "directory": str(leadlog.stats().directory),
    }


def show(report: dict[str, Any]) -> None:
    """Print the report as text."""
    for number, step in enumerate(report["steps"], 1):
        click.secho(f"{number}. {step['step']}", bold=True)
        for key in (
            "rows_created",
            "rows_updated",
            "rows_deleted",
            "leads_added",
            "leads_updated",
            "leads_deleted",
            "unchanged",
            "conflicts",
        ):
            if step[key]:
                click.echo(f"   {step[key]:>6} {key.replace('_', ' ')}")
        click.echo(
            f"   {step['api_calls']:>6} API calls (fewest possible: {step['api_calls_minimum']})"
        )
        for conflict in step["conflict_fields"]:
            for field, values in conflict["fields"].items():
                click.echo(
                    f"   conflict in {field}: here {safe(str(values['local']))}, there "
                    f"{safe(str(values['remote']))}; {values['reason']}, so {values['winner']} wins"
                )
    where = safe(report["directory"])
    click.echo(f"log: {where}/sync_operations, {where}/error_logs (conflicts)")
    if report["equal"] and report["counts_agree"]:
        click.secho(
            "Store and table are equal, and leadlog counted what the server counted: "
            f"{report['api_calls']} calls, at most {report['most_calls_in_a_second']} in any "
            "second.",
            fg="green",
            bold=True,
        )
    else:
        click.secho("Store and table do not agree.", fg="red", bold=True)
