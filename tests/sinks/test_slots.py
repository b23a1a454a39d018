"""Slots keep writers separate, and no descriptor outlives a fork."""

import os
from pathlib import Path

import pytest

from leadlog.core.locks import try_lock
from leadlog.recording.sinks.descriptors import Descriptors
from leadlog.recording.sinks.slots import SlotHolder, take_slot


def test_the_lowest_free_slot_is_taken(directory: Path) -> None:
    """Released slots are reused before new ones."""
    descriptors = Descriptors()
    slots = [take_slot(directory, descriptors) for _ in range(3)]
    assert [slot.number for slot in slots] == [0, 1, 2]
    slots[1].release()
    assert take_slot(directory, descriptors).number == 1
    assert take_slot(directory, descriptors, host="alpha").number == 0


def test_a_slot_whose_file_is_gone_is_taken_anew(directory: Path) -> None:
    """Its lock excludes no other process any longer, so it cannot be relied on."""
    descriptors = Descriptors()
    holder = SlotHolder(directory, descriptors)
    other = take_slot(directory, descriptors)
    assert (other.number, holder.number()) == (0, 1)
    for path in (directory / ".slots").iterdir():
        path.unlink()
    assert not other.holds()
    assert holder.number() == 0
    assert holder.number() == 0
    holder.release()


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The error is the operating system's."""
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(OSError, match="logs"):
        take_slot(tmp_path / "logs", Descriptors())


def test_a_child_closes_what_it_inherited_and_unlocks_nothing(tmp_path: Path) -> None:
    """Including a descriptor that another thread was opening during the fork."""
    descriptors = Descriptors()
    known = descriptors.open(tmp_path / "known", os.O_RDWR | os.O_CREAT)
    assert try_lock(known)
    other = os.open(tmp_path / "known", os.O_RDWR)
    child = os.fork()
    if child == 0:
        descriptors.abandon([tmp_path])
        try:
            os.fstat(known)
        except OSError:
            os._exit(int(try_lock(other)))
        os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not try_lock(other)
    descriptors.close(known)
    assert try_lock(other)
    os.close(other)
    descriptors.close(known)
