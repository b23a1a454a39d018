"""Start-up cost: `import leadlog` in an application, and `leadlog --help` in a shell."""

import resource
import subprocess
import sys

IMPORT_MS, HELP_MS = 60, 80
HELP = "from leadlog.cli import root; root(['--help'], standalone_mode=False)"


def _cpu_ms(code: str) -> float:
    """Return the least CPU time of new interpreters that run some code."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return 1000 * spent

    return min(once() for _ in range(7))


def test_starting_takes_little() -> None:
    """Starting adds little to the start-up time of the interpreter itself."""
    bare = _cpu_ms("pass")
    imported, helped = _cpu_ms("import leadlog") - bare, _cpu_ms(HELP) - bare
    print(f"\nimport leadlog {imported:.0f} ms, leadlog --help {helped:.0f} ms, CPU time")
    assert imported <= IMPORT_MS
    assert helped <= HELP_MS
