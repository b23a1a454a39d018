"""An application's process: logs what each line requests, through the real pipeline.

python writer.py DIRECTORY    < {"at": microseconds, "operations": 20, "failing": 0.5, …}
"""

import json
import sys

import leadlog
from leadlog.core.records import shape

NAMES = ("add_lead", "get_lead", "update_lead")


def main(directory: str) -> None:
    """Log the requested events, and answer once they are in the files."""
    leadlog.configure(directory=directory, poll_seconds=0.005)
    log = leadlog.get_logger()
    for line in sys.stdin:
        said = json.loads(line)
        number, failing = said.get("operations", 0), said.get("failing", 0.0)
        for count in range(number):
            failed = count < failing * number
            at = said["at"] + count * 1000
            event = shape.blank("database_operation")
            event["timestamp"] = at
            event["operation_details"].update(
                operation_type=NAMES[count % 3],
                operation_id=f"{at}-{count}",
                success=not failed,
                execution_time_ms=said.get("ms", 5.0) * (1 + count % 7 / 10),
            )
            log.emit("error" if failed else "info", "lead.made_up", event)
            if failed:
                error = shape.error_log(
                    "database_error",
                    {"message": "password=hunter2 refused", "code": "08006"},
                    {"operation": "made_up", "operation_id": f"{at}-{count}"},
                )
                error["timestamp"] = at
                log.emit("error", "error.database", error)
        for limited in said.get("syncs", ()):
            event = shape.sync_operation(
                "to_airtable", {}, {"success": True, "rate_limited": limited}, []
            )
            event["timestamp"] = said["at"]
            log.emit("info", "sync.to_airtable", event)
        assert leadlog.flush()
        print("ok", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
