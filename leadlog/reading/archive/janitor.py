"""The janitor's run: scan, plan, act, and scan again before removing files to make room.

The size of a compressed file is known only after compression. So first the actions by age are done,
and then, with the actual sizes, those that the limits in bytes require.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path

import attrs

from leadlog.core.clock import now_us, utc_date
from leadlog.core.doors import parameter
from leadlog.core.errors import LogDirectoryError, ReadError
from leadlog.core.layout import CATEGORIES, category_directory
from leadlog.reading.analytics.buckets import remove_buckets
from leadlog.reading.archive.buckets import store_missing
from leadlog.reading.archive.directory import (
    archive_folders,
    open_folders,
    remove_drafts,
    sole_janitor,
)
from leadlog.reading.archive.folders import IN_USE, Folder, LeftAloneError
from leadlog.reading.archive.merge import finish_merges, merge_parts
from leadlog.reading.archive.plan import Action, FoundFile, Hindrance, Kept, Plan, plan
from leadlog.reading.archive.policy import Policy
from leadlog.reading.archive.report import JanitorReport, Result
from leadlog.reading.archive.seal import estimate, finish, seal
from leadlog.reading.shipped import note_dropped, shipped_test
from leadlog.recording.sinks.storage import Spool

__all__ = ["Janitor"]

_PARQUET_SHARE = 0.66
"""Approximate size of a part relative to its compressed original (measured on 5 M events)."""

_FAILED = Hindrance("it failed before")


class Janitor:
    """One run over one log directory; see `leadlog.reading.archive.run`.

    Args:
        directory: the log directory.
        policy: the policy to apply.
        dry_run: change nothing.
        today: the UTC day; the clock's by default.
        progress: called with the bytes read so far and in total.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        policy: Policy,
        dry_run: bool,
        today: str | None,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._root = Path(directory)
        self._policy = policy
        self._dry_run = dry_run
        self._today = utc_date(now_us()) if today is None else today
        self._progress = progress
        self._spool = Spool(self._root)
        self._folders: dict[str, Folder] = {}
        self._known: dict[Path, tuple[Hindrance | None, int | None]] = {}
        self._results: dict[Path, Result] = {}
        self._bytes_read = self._bytes_to_read = 0

    def run(self) -> JanitorReport:
        """Run the janitor.

        Raises:
            LogDirectoryError: the directory cannot be used, or another janitor is running.
        """
        if not self._root.is_dir():
            raise LogDirectoryError(
                f"there is no log directory {str(self._root)!r}; name it with "
                f"{parameter('directory', '--directory')} or LEADLOG_DIRECTORY"
            )
        with ExitStack() as stack:
            there = any(category_directory(self._root, name).is_dir() for name in CATEGORIES)
            if there and not self._dry_run:
                stack.enter_context(sole_janitor(self._root))
                remove_drafts(self._root)
            folders, unusable = open_folders(self._root, self._spool.names_in_use)
            for folder in folders:
                stack.callback(folder.close)
                self._folders[folder.category] = folder
            return self._work(unusable)

    def _work(self, unusable: list[Kept]) -> JanitorReport:
        found = self._look()
        before = sum(one.size_bytes for one in found)
        planned = self._plan(found)
        if self._dry_run:
            for action in planned.actions:
                self._results[action.found.file.path] = self._would_be(action)
        while planned.actions and not self._dry_run:
            by_age = [action for action in planned.actions if not action.for_room]
            # A day is merged once no other file of it remains to be sealed.
            first = [action for action in by_age if action.verb != "merge"]
            self._do(first or by_age or planned.actions)
            found = self._look()
            planned = self._plan(found)
        kept = [one for one in planned.kept if one.file.path not in self._results]
        stored, failed = ((), {}) if self._dry_run else store_missing(self._root)
        return JanitorReport(
            directory=self._root,
            today=self._today,
            policy=self._policy,
            dry_run=self._dry_run,
            results=tuple(self._results.values()),
            kept=(*unusable, *kept),
            excess=planned.excess,
            bytes_before=before,
            bytes_after=sum(one.size_bytes for one in found),
            buckets_stored=stored,
            buckets_failed=failed,
        )

    def _look(self) -> list[FoundFile]:
        """List the log files; remove the leftovers of a killed janitor."""
        found = []
        sealed = archive_folders(self._root, self._spool.names_in_use)
        try:
            for folder in chain(self._folders.values(), sealed):
                if folder.archived and not self._dry_run:
                    with suppress(OSError):  # its parts are then skipped in this run
                        finish_merges(folder)
                files, leftovers = folder.scan()
                for name in leftovers:
                    if not self._dry_run:
                        with suppress(OSError):  # sealing that file then reports it
                            folder.remove(name)
                found += files
            missing = shipped_test(self._root)
        except OSError as error:
            raise LogDirectoryError(
                f"cannot list {error.filename or self._root}: {error.strerror}; "
                "run this as the user who writes the log"
            ) from error
        return [
            attrs.evolve(one, unshipped=tuple(names)) if names else one
            for one in found
            for names in [missing(one.file, f"{one.size_bytes}:{one.modified_ns}")]
        ]

    def _plan(self, found: list[FoundFile]) -> Plan:
        """Plan; facts that are costly to obtain are gathered only for files to be touched."""
        while True:
            known = [
                attrs.evolve(one, hindrance=one.hindrance or hindrance, packed_bytes=packed)
                for one in found
                for hindrance, packed in [self._known.get(one.file.path, (None, None))]
            ]
            planned = plan(known, self._policy, self._today)
            fresh = [one for one in planned.actions if one.found.file.path not in self._known]
            if not fresh:
                return planned
            for action in fresh:
                self._known[action.found.file.path] = self._examine(action)

    def _examine(self, action: Action) -> tuple[Hindrance | None, int | None]:
        file = action.found.file
        if file.archived:
            return None, None
        if file.compressed:
            return None, round(action.found.size_bytes * _PARQUET_SHARE)
        folder = self._folders[file.category]
        try:
            if folder.is_locked(file.path.name):
                return Hindrance(IN_USE), None
            packed = estimate(folder, action.found)
            share = _PARQUET_SHARE if action.verb == "archive" else 1
            return None, round(packed * share)
        except OSError:
            return None, None  # the attempt will report the error

    def _do(self, actions: Sequence[Action]) -> None:
        reading = [action for action in actions if action.verb != "remove"]
        self._bytes_to_read += sum(action.found.size_bytes for action in reading)
        for action in actions:
            path = action.found.file.path
            try:
                self._results[path] = Result(action, freed_bytes=self._carry_out(action))
            except LeftAloneError as error:
                for one in action.parts or (action.found,):
                    self._known[one.file.path] = error.hindrance, None
            except (OSError, ReadError) as error:
                # Not retried in this run; a file that cannot be compressed can still be removed.
                done = action.verb != "compress"
                for one in action.parts or (action.found,):
                    self._known[one.file.path] = (_FAILED if done else None), one.size_bytes
                what = error.strerror if isinstance(error, OSError) else None
                self._results[path] = Result(action, error=what or str(error))

    def _carry_out(self, action: Action) -> int:
        """Carry out one action; return the number of bytes freed."""
        found = action.found
        if action.verb == "remove" and found.unshipped:
            note_dropped(self._root, found.file, found.unshipped, "removed by retention")
        if found.file.archived:
            with self._archived(found) as day:
                if action.verb == "merge":
                    size = merge_parts(day, found.file.path, action.parts, self._has_read)
                    return found.size_bytes - size
                return self._remove_part(day, found)
        folder = self._folders[found.file.category]
        if action.verb == "compress":
            return found.size_bytes - seal(folder, found, self._has_read)
        if action.verb == "archive":
            from leadlog.reading.archive.parquet import (
                seal_to_parquet,  # the libraries take a second to import
            )

            return found.size_bytes - seal_to_parquet(self._root, folder, found, self._has_read)
        if action.verb == "finish":
            finish(folder, found, self._has_read)
        else:
            with folder.claimed(found):
                folder.remove(found.file.path.name)
        return found.size_bytes

    @contextmanager
    def _archived(self, found: FoundFile) -> Iterator[Folder]:
        """Yield the open folder of a part."""
        path, in_use = found.file.path.parent, self._spool.names_in_use
        folder = Folder(found.file.category, path, in_use, archived=True)
        try:
            yield folder
        finally:
            folder.close()

    def _remove_part(self, folder: Folder, found: FoundFile) -> int:
        from leadlog.reading.archive.parts import remove_part

        with folder.claimed(found):
            remove_buckets(self._root, found.file.date)
            remove_part(found.file.path)
        return found.size_bytes

    def _has_read(self, count: int) -> None:
        self._bytes_read += count
        if self._progress is not None:
            self._progress(self._bytes_read, self._bytes_to_read)

    def _would_be(self, action: Action) -> Result:
        rewritten = action.verb in {"compress", "archive", "merge"}
        packed = action.found.packed_bytes if rewritten else 0
        freed = None if packed is None else action.found.size_bytes - packed
        return Result(action, freed_bytes_estimate=freed)
