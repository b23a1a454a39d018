"""The Lambda function of the how-to page: it logs, and flushes before its instance is frozen."""

import os

import leadlog

EVENTS = 20

leadlog.configure(directory=os.environ["LOGS"])


def handler(event: dict[str, int], _context: object) -> dict[str, int]:
    """Answer an invocation, whose request is the number of the events."""
    try:
        for number in range(EVENTS):
            leadlog.get_logger().info("line", request=event["request"], number=number)
        return {"statusCode": 200, "process": os.getpid()}
    finally:
        leadlog.flush(1.0)
