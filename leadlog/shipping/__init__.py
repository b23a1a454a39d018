"""Shipping of the log to Elasticsearch, OpenSearch, Splunk, OpenTelemetry and object stores.

The files are the buffer: `leadlog ship` (a separate process) or a thread of `leadlog monitor` reads
them as any reader does, and advances its position only after the destination has acknowledged. An
unreachable receiver costs the application nothing.
"""

from leadlog.shipping.destination import Destination, configured, from_url
from leadlog.shipping.shipper import Shipper, ShipReport
from leadlog.shipping.threads import ShippingThreads, shipper_for

__all__ = [
    "Destination",
    "ShipReport",
    "Shipper",
    "ShippingThreads",
    "configured",
    "from_url",
    "shipper_for",
]
