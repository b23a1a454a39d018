"""A fake Airtable in a separate process, so that its time and memory are not measured.

Prints its address on standard output, and ends when its standard input is closed.
"""

import json
import sys

from leadlog.testing import FakeAirtable

if __name__ == "__main__":
    with FakeAirtable(per_base=None, per_token=None, kept_requests=1) as server:
        where = {
            "api_key": server.api_key,
            "base_id": server.base_id,
            "table": server.table_id,
            "endpoint_url": server.endpoint_url,
        }
        print(json.dumps(where), flush=True)
        sys.stdin.read()
