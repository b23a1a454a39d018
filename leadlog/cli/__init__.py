"""The command line, `leadlog` and `python -m leadlog`.

Exit codes: 0 ok · 1 findings · 2 usage (a bad option, expression or setting) · 3 something could
not be read, written or reached · 130 Ctrl-C · 141 the reader of a pipe went away.

Data goes to standard output, messages to standard error. A command's module is imported only
when that command runs.
"""

from leadlog.cli.root import root

__all__ = ["main", "root"]


def main() -> None:
    """Runs the command that the arguments name and exits."""
    root(prog_name="leadlog")
