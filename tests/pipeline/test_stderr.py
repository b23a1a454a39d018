"""No state of standard error affects the application."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
import leadlog
from leadlog.sinks import MemorySink

class Broken(MemorySink):
    def write(self, category, line):
        raise OSError("the sink is broken")

{break_it}
leadlog.configure(directory={directory!r}, sink={sink}, console={console!r})
for number in range(3):
    leadlog.get_logger().info("event", number=number)
assert leadlog.stats().failures == {failures}, leadlog.stats()
leadlog.shutdown()
os._exit(0)  # what Python itself says of a broken stream at its end is not ours
"""

BREAKS = {
    "full": "sys.stderr = open('/dev/full', 'w', buffering=1)",
    "closed": "sys.stderr.close()",
    "none": "sys.stderr = None",
    "descriptor closed": "os.close(2)",
    "nobody reads": "r, w = os.pipe(); os.close(r); sys.stderr = os.fdopen(w, 'w', buffering=1)",
}


@pytest.mark.parametrize("console", ["off", "auto", "on"])
@pytest.mark.parametrize("sink", ["Broken()", "None"])
@pytest.mark.parametrize("how", BREAKS)
def test_no_call_raises_whatever_becomes_of_standard_error(tmp_path, how, sink, console):
    """The application does not notice, and nothing is written to standard output instead."""
    program = PROGRAM.format(
        break_it=BREAKS[how],
        directory=str(tmp_path),
        sink=sink,
        console=console,
        failures=3 if sink == "Broken()" else 0,
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
