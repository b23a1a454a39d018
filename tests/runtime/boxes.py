"""Boxes: the machine as a container or a hardened service sees it, built with namespaces.

The tests run without a Docker daemon or a running systemd, but with what both are made of: mount
and process namespaces, a read-only root, shared memory of another size, another user without
capabilities. A box differs from the real thing in one point: its user may read everything, since
the interpreter may be in a home directory.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

in_a_box = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root on Linux can make namespaces for another user",
)


def box(
    command: Sequence[str | Path],
    *,
    writable: Sequence[Path],
    memory: Path | str | None,
    user: int = 0,
    private: Sequence[str] = (),
    init: bool = False,
) -> list[str]:
    """Return a command that runs another one in a box.

    Args:
        command: The command.
        writable: Folders that it may write to; all else is read-only.
        memory: The `/dev/shm` of the box: a size as mount takes it, a folder in a memory file
            system, or None for a box without shared memory.
        user: Id of the box's user.
        private: Folders that are empty and private in the box.
        init: Whether the command is process 1 of a separate namespace, as in a container.
    """
    steps = ["set -e", "mount --make-rprivate /", "mount -t tmpfs none /mnt"]
    # A folder inside a private one is kept elsewhere while that is mounted.
    needed = [ROOT, Path(sys.prefix), Path(sys.base_prefix), *writable]
    for number, folder in enumerate(needed):
        aside = f"/mnt/{number}"
        steps += [f"mkdir {aside}", f"mount --bind {shlex.quote(str(folder))} {aside}"]
    steps += [f"mount -t tmpfs -o mode=1777 none {folder}" for folder in private]
    if memory is None:
        steps += ["mkdir /mnt/shm", "mount -t proc -o ro none /mnt/shm"]
        steps += ["mount --bind /mnt/shm /dev/shm"]
    elif isinstance(memory, Path):
        steps.append(f"mount --bind {shlex.quote(str(memory))} /dev/shm")
    else:
        steps.append(f"mount -t tmpfs -o size={memory},mode=1777 none /dev/shm")
    steps += [f"mount -o remount,bind,ro {folder}" for folder in ("/", "/proc", "/sys")]
    for number, folder in enumerate(needed):
        place = shlex.quote(str(folder))
        steps += [f"test -d {place} || mkdir -p {place}", f"mount --bind /mnt/{number} {place}"]
        if folder not in writable:
            steps.append(f"mount -o remount,bind,ro {place}")
    steps.append("umount -l /mnt")
    cap = "dac_read_search"
    rights = f"--bounding-set=-all,+{cap} --inh-caps=-all,+{cap} --ambient-caps=-all,+{cap}"
    person = f"--reuid {user} --regid {user} --clear-groups {rights}" if user else ""
    steps.append(f"cd {shlex.quote(str(Path.cwd()))}")
    steps.append(f'exec setpriv --no-new-privs {person} -- "$@"')
    flags = ["--mount", *(["--pid", "--fork", "--kill-child"] if init else [])]
    return ["unshare", *flags, "sh", "-c", "\n".join(steps), "box", *map(str, command)]


@contextmanager
def container(command: Sequence[str | Path], **options: Any) -> Iterator[tuple[int, Any]]:
    """Run a command as process 1 of a box, and make sure that it has ended afterwards.

    Yields:
        Its process id outside the box, and the running box.
    """
    running = subprocess.Popen(
        box(command, init=True, **options),
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},  # and no home directory
    )
    child = None
    try:
        assert running.stdout is not None
        told = json.loads(running.stdout.readline())
        assert (told["pid"], told["user"]) == (1, options["user"])
        assert not any(told["degraded"].values())
        (child,) = _children(running.pid)
        yield child, running
    finally:
        # --kill-child alone is not enough: its setting is lost when the user changes.
        for left in _children(running.pid):
            os.kill(left, signal.SIGKILL)
        running.kill()
        running.communicate()


def _children(process: int) -> list[int]:
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]
