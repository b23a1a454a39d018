"""A file is replaced completely, or not at all."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from leadlog.core import files
from leadlog.core.files import DRAFT, draft, output_file, remove_abandoned, replace, replacing

OLD = b"yesterday's report\n"


@pytest.fixture
def file(tmp_path):
    """An existing file."""
    path = tmp_path / "report.csv"
    path.write_bytes(OLD)
    return path


def names(folder):
    return {path.name for path in folder.iterdir()}


def untouched(path):
    return path.read_bytes() == OLD and names(path.parent) == {path.name}


def test_the_new_content_takes_the_old_ones_place(file):
    """No other file is left in the folder."""
    replace(file, b"new")
    assert file.read_bytes() == b"new"
    assert names(file.parent) == {file.name}


@pytest.mark.parametrize("writer", [replacing, output_file])
@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_content_is_whole(file, writer, error):
    """True for any exception, including Ctrl-C."""

    def write():
        with writer(file) as stream:
            stream.write(b"half of the new o")
            raise error

    with pytest.raises(error):
        write()
    assert untouched(file)


@pytest.mark.parametrize("writer", ["replacing", "output_file"])
def test_a_full_disk_leaves_the_old_content(file, writer):
    """The file system raises, in a write or in the close."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        f"from leadlog.core.files import {writer}\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"with {writer}(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'x' * 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, check=False)
    assert b"File too large" in done.stderr
    assert untouched(file)


def test_a_kill_leaves_the_old_content_and_a_draft_that_is_known_as_one(file):
    """The draft of a killed process can be removed only by another process."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from leadlog.core.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as stream:\n"
        "    stream.write(b'x' * 100_000)\n"
        "    stream.flush()\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == OLD
    (left,) = names(file.parent) - {file.name}
    match = DRAFT.fullmatch(left)
    assert match is not None
    assert match["name"] == file.name


@pytest.mark.parametrize("writer", [replacing, output_file])
def test_an_error_names_the_file_and_not_its_draft(tmp_path, writer):
    """The error, such as for a missing folder, names the file and not its draft."""
    with pytest.raises(FileNotFoundError) as raised, writer(tmp_path / "gone" / "report.html"):
        pass
    assert raised.value.filename == str(tmp_path / "gone" / "report.html")


def test_two_writers_do_not_take_each_others_drafts(file):
    """The last one to end wins, with its complete content."""
    with replacing(file) as first, replacing(file) as second:
        first.write(b"a" * 10)
        second.write(b"b" * 20)
    assert file.read_bytes() == b"a" * 10
    assert names(file.parent) == {file.name}


def test_drafts_are_private_before_anything_is_in_them(file):
    """This is independent of the umask."""
    before = os.umask(0)
    try:
        with draft(file) as place:
            assert stat.S_IMODE(Path(place).stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_folder_descriptor_is_not_left(file, tmp_path):
    """The folder may be moved or replaced by a link: the files stay in the open one."""
    inside, moved = tmp_path / "inside", tmp_path / "moved"
    inside.mkdir()
    folder = os.open(inside, os.O_RDONLY)
    try:
        inside.rename(moved)
        inside.symlink_to(tmp_path)
        with replacing(inside / file.name, folder=folder) as stream:
            stream.write(b"new")
    finally:
        os.close(folder)
    assert (moved / file.name).read_bytes() == b"new"
    assert file.read_bytes() == OLD


class TestOutputFile:
    """Tests of a file that the user named."""

    def test_a_link_stays_one(self, file, tmp_path):
        """The file it points to is replaced."""
        link = tmp_path / "latest.csv"
        link.symlink_to(file.name)
        with output_file(link) as stream:
            stream.write(b"new")
        assert link.is_symlink()
        assert file.read_bytes() == b"new"

    def test_rights_stay(self, file):
        """An existing file keeps its mode; a new one gets the umask's."""
        file.chmod(0o640)
        with output_file(file) as stream:
            stream.write(b"new")
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
        before = os.umask(0o027)
        try:
            with output_file(file.with_name("new.csv")) as stream:
                stream.write(b"new")
        finally:
            os.umask(before)
        assert stat.S_IMODE(file.with_name("new.csv").stat().st_mode) == 0o640

    def test_a_device_is_written_to(self):
        """`-o /dev/stdout` does not replace the device."""
        with output_file(Path("/dev/null")) as stream:
            stream.write(b"new")
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

    def test_a_folder_is_refused(self, tmp_path):
        """The error names it."""
        with pytest.raises(IsADirectoryError), output_file(tmp_path):
            pass


def test_a_draft_is_removed_only_when_nobody_writes_it(file):
    """The writer holds its lock until it is renamed to the file."""
    with draft(file) as place:
        Path(place).write_bytes(b"new")
        assert not remove_abandoned(Path(place))
    assert file.read_bytes() == b"new"
    left = file.with_name(f".{file.name}.0123abcd.tmp")
    left.touch()
    assert remove_abandoned(left)
    assert remove_abandoned(left)
    assert names(file.parent) == {file.name}


@pytest.mark.parametrize("moment", ["before the lock", "after the lock"])
def test_a_draft_that_is_taken_for_abandoned_is_made_again(file, monkeypatch, moment):
    """Between creation and locking it looks like the draft of a killed process."""
    lock, taken = files.try_lock, []

    def try_lock(fd):
        if taken:
            return lock(fd)
        (place,) = names(file.parent) - {file.name}
        taken.append(place)
        other = os.open(file.with_name(place), os.O_RDWR)
        assert lock(other)
        if moment == "before the lock":
            file.with_name(place).unlink()
            os.close(other)
        try:
            return lock(fd)
        finally:
            if moment == "after the lock":
                os.close(other)

    monkeypatch.setattr(files, "try_lock", try_lock)
    replace(file, b"new")
    assert taken
    assert file.read_bytes() == b"new"
    assert names(file.parent) == {file.name}
