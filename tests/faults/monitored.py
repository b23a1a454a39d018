"""A monitor that watches as fast as it can, until it is killed.

python monitored.py DIRECTORY
"""

import sys

from leadlog.monitor import Monitor
from leadlog.monitor.configuration import configure

QUICK = {
    "every": 1,
    "wait": 0,
    "interval": 0,
    "rules": {"burn_rate": {"for": 0, "minimum_events": 10, "minimum_failures": 1}},
}


def main(directory: str) -> None:
    """Run until killed."""
    monitor = Monitor(
        directory,
        configuration=configure(QUICK),
        checks=False,
        emit=lambda level, name, event: None,
        measure=lambda _: {},
        notice=lambda text: print(text, file=sys.stderr),
    )
    print("started", flush=True)
    monitor.run(wait=lambda _: None)


if __name__ == "__main__":
    main(sys.argv[1])
