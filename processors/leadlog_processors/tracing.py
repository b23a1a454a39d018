"""W3C trace context: the trace of the running code, from a `traceparent` header.

>>> trace = continued("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
>>> trace.trace_id, trace.parent_id, len(trace.span_id)
('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', 16)
>>> trace.traceparent == f"00-{trace.trace_id}-{trace.span_id}-01"
True
>>> continued("not a header").parent_id is None
True
"""

import re
import secrets
from dataclasses import dataclass

__all__ = ["Trace", "continued"]

_HEADER = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-"
    r"(?P<parent>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


@dataclass(frozen=True, slots=True)
class Trace:
    """The position of the running code in a distributed trace.

    Attributes:
        trace_id: 32 hex digits, the same in every service that handles a request.
        span_id: 16 hex digits; span of this request, task or command.
        parent_id: span id of the caller; None if the trace begins here.
        flags: two hex digits, as received; `01` means that the caller records the trace.
    """

    trace_id: str
    span_id: str
    parent_id: str | None = None
    flags: str = "01"

    @property
    def traceparent(self) -> str:
        """The header value for calls to other services."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def continued(header: object) -> Trace:
    """Return the trace of a header, with a new span; a new trace without a valid header.

    Args:
        header: the value of `traceparent`. A header that does not follow the standard is ignored,
            as the standard requires.
    """
    span_id = secrets.token_hex(8)
    found = _HEADER.fullmatch(header.strip()) if isinstance(header, str) else None
    if found is None or (found["version"] == "00" and found["more"]):
        return Trace(secrets.token_hex(16), span_id)
    flags = f"{int(found['flags'], 16) & 1:02x}"  # the other flags are not defined yet
    return Trace(found["trace"], span_id, found["parent"], flags)
