"""The command line, `leadlog` and `python -m leadlog`.

Exit codes: 0 ok · 1 findings · 2 usage (a bad option, expression or setting) · 3 something could
not be read, written or reached · 70 a bug in leadlog · 130 Ctrl-C · 141 the reader of a pipe
closed it.

Data goes to standard output, messages to standard error. A command's module is imported only
when that command runs.
"""

import os
import sys

from leadlog.cli.root import root

__all__ = ["main", "root"]

_DEFECT = 70


def main() -> None:
    """Run the command named by the arguments, and exit."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the parent process closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - for the whole run
    try:
        root(prog_name="leadlog")
    except Exception:  # noqa: BLE001 - reported with its traceback before the exit
        import traceback

        from leadlog_processors.masking import mask_text

        sys.stderr.write(mask_text(traceback.format_exc()))
        sys.stderr.write("leadlog: this is a defect of leadlog; please report it with the above\n")
        sys.exit(_DEFECT)
