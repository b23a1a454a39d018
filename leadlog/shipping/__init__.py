"""The log is shipped to Elasticsearch, OpenSearch, Splunk, OpenTelemetry and object stores.

The files are the buffer: `leadlog ship` reads them as any reader does, in a process of its own or a
thread of `leadlog monitor`, and moves a position once the destination has acknowledged. A receiver
that is away costs the application nothing.
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
