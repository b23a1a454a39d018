"""The log records of a sync: the run itself, its failures and its conflicts."""

from typing import Any

from leadlog.core.clock import now_us
from leadlog.core.records import shape
from leadlog.leads.airtable.report import Conflict, LeadOutcome, SyncResult, worst_first
from leadlog.recording.pipeline import get_logger

__all__ = ["Events"]

_BATCHES_LISTED = 50

_log = get_logger()


class Events:
    """Writes sync records to the current pipeline."""

    def failed(self, result: SyncResult, outcome: LeadOutcome, error: Exception) -> None:
        """Log one lead that could not be synchronised."""
        event = shape.error_log(
            "sync_error",
            {
                "exc_info": error,
                "message": str(error),
                "code": outcome.error_code,
                "recovery_attempted": True,
                "recovery_successful": False,
                "recovery_method": "set aside until it changes, or `leadlog sync retry`",
                "data_loss": False,
            },
            {
                "operation": f"sync.{result.sync_type}",
                "operation_id": result.sync_id,
                "lead_data": _names(outcome),
            },
        )
        _log.emit("error", "error.sync", event)

    def conflict(self, result: SyncResult, conflict: Conflict) -> None:
        """Log both values of each field that was changed on both sides."""
        winners = sorted({one.winner for one in conflict.fields})
        names = ", ".join(one.field for one in conflict.fields)
        event = shape.error_log(
            "sync_conflict",
            {
                "message": f"the lead and its row were both changed: {names}",
                "severity": "low",
                "recovery_attempted": True,
                "recovery_successful": True,
                "recovery_method": f"{' and '.join(winners)} wins; both values are in the context",
                "data_loss": False,
            },
            {
                "operation": f"sync.{result.sync_type}",
                "operation_id": result.sync_id,
                "lead_data": {"id": conflict.lead_id},
                "conflict": conflict.as_dict(),
            },
        )
        _log.emit("warning", "sync.conflict", event)

    def ended(self, result: SyncResult, error: BaseException | None) -> None:
        """Log the run, and the error that ended it."""
        counts = result.counts()
        wire = result.wire.as_dict()
        total = counts["total"]
        event = shape.sync_operation(
            result.sync_type,
            {
                "sync_id": result.sync_id,
                "batch_size": 10,
                "total_leads": total,
                "retry_attempts": wire["retries"],
                "sync_strategy": "three_way_merge",
            },
            {
                "success": result.success,
                "leads_synced": counts["synced"],
                "leads_skipped": counts["skipped"],
                "leads_failed": counts["failed"],
                "leads_created": counts["rows_created"] + counts["leads_added"],
                "leads_updated": counts["rows_updated"] + counts["leads_updated"],
                "leads_deleted": counts["rows_deleted"] + counts["leads_deleted"],
                "conflicts_resolved": counts["conflicts"],
                "execution_time_ms": result.duration_ms,
                "error_message": result.error,
                "airtable_rate_limited": wire["throttled"] > 0,
                "api_calls_made": wire["attempts"],
                "api_calls_minimum": counts["api_calls_minimum"],
                "rate_limit_wait_ms": wire["throttle_wait_seconds"] * 1e3,
                "bytes_sent": wire["bytes_sent"],
                "bytes_received": wire["bytes_received"],
                "avg_sync_time_per_lead_ms": result.duration_ms / total if total else None,
                "memory_peak_mb": result.memory_peak_mb,
            },
            [
                {**_names(one), "sync_status": one.status, "error": one.reason}
                for one in worst_first(result.outcomes)[: shape.LEADS_LISTED]
            ],
        )
        event["timestamp"] = now_us()
        event["sync_batches"] = _batches(result)
        _log.emit("info" if result.success else "error", f"sync.{result.sync_type}", event)
        if error is not None and isinstance(error, Exception):
            self._stopped(result, error)

    def _stopped(self, result: SyncResult, error: Exception) -> None:
        event = shape.error_log(
            "sync_error",
            {
                "exc_info": error,
                "message": str(error),
                "code": getattr(error, "code", None),
                "recovery_attempted": False,
                "recovery_method": "the next sync continues where this one stopped",
                "data_loss": False,
            },
            {"operation": f"sync.{result.sync_type}", "operation_id": result.sync_id},
        )
        _log.emit("error", "error.sync", event)


def _names(outcome: LeadOutcome) -> dict[str, Any]:
    return {"lead_id": outcome.lead_id, "name": outcome.name, "company": outcome.company}


def _batches(result: SyncResult) -> list[dict[str, Any]]:
    """Return the batches to list, at most 50: prefer those with failures, then the slowest."""
    worst = sorted(result.batches, key=lambda one: (-one.failed, -one.duration_ms))
    return [
        {
            "batch_number": one.number,
            "kind": one.kind,
            "leads": one.size,
            "leads_failed": one.failed,
            "api_calls": one.api_calls,
            "duration_ms": round(one.duration_ms, 3),
        }
        for one in sorted(worst[:_BATCHES_LISTED], key=lambda one: one.number)
    ]
