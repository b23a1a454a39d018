"""One erasure in one log directory: search, store the journal, rewrite, and search again.

Files are replaced, never changed in place: the new file is written under a hidden name, synced, and
renamed over the old one, so after a kill each file is the old one or the new one. Only closed files
are touched, as by the janitor, and under its lock.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import orjson

from leadlog.core.clock import now_us, utc_date
from leadlog.core.doors import parameter
from leadlog.core.errors import LogDirectoryError
from leadlog.core.files import replace
from leadlog.core.layout import LogFile, category_directory, log_files, summary_path
from leadlog.reading.analytics.buckets import remove_buckets
from leadlog.reading.analytics.summary import write_daily_summary
from leadlog.reading.archive.buckets import store_missing
from leadlog.reading.archive.directory import archive_folders, open_folders, sole_janitor
from leadlog.reading.archive.folders import Folder, LeftAloneError
from leadlog.reading.archive.merge import finish_merges
from leadlog.reading.archive.plan import FoundFile, closed_since
from leadlog.reading.archive.rewrite import rewrite
from leadlog.reading.erasure.journal import Journal
from leadlog.reading.erasure.ledger import note_erasure
from leadlog.reading.erasure.lines import Cover, mentions
from leadlog.reading.erasure.others import OtherFiles
from leadlog.reading.erasure.person import Findings, Identity, is_telling
from leadlog.reading.erasure.report import Changed, ErasureReport
from leadlog.reading.erasure.spelling import Spelling
from leadlog.reading.events import decode, open_content
from leadlog.reading.shipments import Erased
from leadlog.reading.shipped import copies_elsewhere, note_erased
from leadlog.recording.sinks.report import ring_reports
from leadlog.recording.sinks.storage import Spool

__all__ = ["run"]

_BLOCK_BYTES = 1024 * 1024


def run(
    directory: str | os.PathLike[str],
    *,
    lead_ids: Iterable[str] = (),
    emails: Iterable[str] = (),
    pseudonym_key: str | None = None,
    dry_run: bool = False,
    today: str | None = None,
) -> ErasureReport:
    """Erase persons from a log, or replace them by pseudonyms.

    It may be killed at any moment; the next run, for the same persons, others or none, continues.

    Args:
        directory: the log directory.
        lead_ids: ids of leads.
        emails: e-mail addresses, in any case.
        pseudonym_key: key of pseudonyms that replace the persons; without it the lines about them
            are removed.
        dry_run: change nothing.
        today: the UTC day; the clock's by default.

    Raises:
        LogDirectoryError: the directory does not exist, cannot be read or written, or a janitor is
            running there.
        ReadError: a file cannot be read.
    """
    root = Path(directory)
    if not root.is_dir():
        raise LogDirectoryError(
            f"there is no log directory {str(root)!r}; name it with "
            f"{parameter('directory', '--directory')} or LEADLOG_DIRECTORY"
        )
    erasure = _Erasure(root, pseudonym_key, utc_date(now_us()) if today is None else today)
    return erasure.run(Identity(lead_ids, emails), dry_run=dry_run)


class _Erasure:
    def __init__(self, root: Path, key: str | None, today: str) -> None:
        self._root = root
        self._key = None if key is None else key.encode()
        self._today = today
        self._in_use = Spool(root).names_in_use
        self._journal = Journal(root)
        self._changed: list[Changed] = []
        self._remaining: dict[str, str] = {}
        self._seen: set[str] = set()
        self._copies = 0

    def run(self, asked: Identity, *, dry_run: bool) -> ErasureReport:
        with ExitStack() as stack:
            if not dry_run:
                stack.enter_context(sole_janitor(self._root))
            asked |= self._journal.read()
            identity = self._widened(asked) if asked else asked
            summaries: tuple[str, ...] = ()
            if identity:
                if not dry_run:
                    self._journal.write(identity)
                days = self._rewrite(identity, dry_run=dry_run)
                summaries = self._summaries(identity, days, dry_run=dry_run)
                self._others(identity, dry_run=dry_run)
            if not dry_run:
                if self._changed:
                    note_erasure(self._root)
                store_missing(self._root)
                if not self._remaining:
                    self._journal.remove()
        return ErasureReport(
            directory=self._root,
            dry_run=dry_run,
            pseudonymised=self._key is not None,
            lead_ids=len(identity.lead_ids),
            changed=tuple(self._changed),
            remaining=self._remaining,
            summaries=summaries,
            copies=copies_elsewhere(self._root, self._copies),
            covered=Cover(identity, self._key).covered,
        )

    def _widened(self, asked: Identity) -> Identity:
        """Return the requested identity with everything that the log relates to it."""
        identity = asked
        while True:  # an address leads to an id, whose other records name another address
            findings = Findings(identity)
            sought = mentions(Identity(identity.lead_ids, identity.emails))
            for file in log_files(self._root):
                for block in _blocks(file.path):
                    if sought(block):
                        for line in block.split(b"\n"):
                            event = decode(line) if sought(line) else None
                            if event is not None:
                                findings.add(event)
            wider = findings.identity()
            if (wider.lead_ids, wider.emails) == (identity.lead_ids, identity.emails):
                return wider
            identity = wider

    def _rewrite(self, identity: Identity, *, dry_run: bool) -> set[str]:
        """Rewrite every closed file that names the persons; return their days."""
        days = set()
        for folder, found in self._files(remove_drafts=not dry_run):
            cover = Cover(identity, self._key)
            file = found.file
            for _ in cover.lines(_blocks(file.path)):
                pass
            if not (cover.lines_removed or cover.lines_changed):
                continue
            name = self._name(file.path)
            hindrance = closed_since(found, self._today)
            if hindrance is not None:
                self._remaining[name] = hindrance.reason
                continue
            try:
                if not dry_run:
                    with folder.claimed(found) as source:
                        # Before lines are removed: a kill in between has copies deleted too early.
                        note_erased(self._root, self._erased(file.category, cover))
                        remove_buckets(self._root, file.date)
                        self._replace(folder, found, source, Cover(identity, self._key))
                days.add(file.date)
                self._copies += len(cover.events)
                self._changed.append(Changed(name, cover.lines_removed, cover.lines_changed))
            except LeftAloneError as error:
                self._remaining[name] = error.hindrance.reason
        return days

    @staticmethod
    def _erased(category: str, cover: Cover) -> list[Erased]:
        return [Erased(event_id, category, day, line) for event_id, day, line in cover.events]

    def _others(self, identity: Identity, *, dry_run: bool) -> None:
        """Erase from files without lines, and report rings and files elsewhere."""
        texts = [text for text in identity.texts() if is_telling(text)]
        spelling = Spelling(texts)
        others = OtherFiles(self._root, Cover(identity, self._key), spelling, dry_run=dry_run)
        others.run(self._seen)
        self._changed += others.changed
        self._remaining = {**others.remaining, **self._remaining}
        waiting = {
            f"{one.category}.{one.process_id}" for one in ring_reports(self._root) if one.in_ring
        }
        for ring in Spool(self._root).files():
            with suppress(OSError):
                if ring.path.name.rpartition(".")[0].rpartition(".")[0] not in waiting:
                    continue  # its content is in the files too
                if spelling.may_be_in(ring.path.read_bytes()):
                    self._remaining[str(ring.path)] = (
                        "a process has lines for the log in its memory; run this again, after a "
                        "kill of that process after `leadlog recover`"
                    )

    def _files(self, *, remove_drafts: bool) -> Iterator[tuple[Folder, FoundFile]]:
        folders, unusable = open_folders(self._root, self._in_use)
        with ExitStack() as stack:
            for folder in folders:
                stack.callback(folder.close)
            for kept in unusable:
                behind = self._behind_link(kept.file)
                if behind is not None:
                    stack.callback(behind.close)
                    folders.append(behind)
            for folder in folders:
                yield from self._of(folder, remove_drafts=remove_drafts)
            for folder in archive_folders(self._root, self._in_use):
                yield from self._of(folder, remove_drafts=remove_drafts)

    def _behind_link(self, file: LogFile) -> Folder | None:
        """Return the folder to which a link in a category's place points.

        The janitor leaves it alone; a person must be erased there too.
        """
        try:
            return Folder(file.category, file.path.resolve(strict=True), self._in_use)
        except OSError:
            return None  # files that can be read there are found with the other files

    def _of(self, folder: Folder, *, remove_drafts: bool) -> Iterator[tuple[Folder, FoundFile]]:
        files, drafts = folder.scan()
        if remove_drafts:
            if folder.archived:
                finish_merges(folder)
            for name in drafts:
                folder.remove(name)
        for found in files:
            self._seen.add(os.path.realpath(found.file.path))
            yield folder, found

    def _name(self, path: Path) -> str:
        inside = path.is_relative_to(self._root)
        return str(path.relative_to(self._root) if inside else path)

    def _replace(self, folder: Folder, found: FoundFile, source: int, cover: Cover) -> None:
        file = found.file
        if file.archived:
            self._replace_part(found, source, cover)
            return
        rewrite(folder, found, source, cover.lines(_blocks(file.path)))

    def _replace_part(self, found: FoundFile, source: int, cover: Cover) -> None:
        from leadlog.reading.archive.parts import (  # the libraries are slow to import
            take_after_original,
            writing_part,
        )

        path, category = found.file.path, found.file.category
        with writing_part(path, category, lambda: cover.lines(_blocks(path))) as drafts:
            take_after_original(source, drafts)

    def _summaries(self, identity: Identity, days: set[str], *, dry_run: bool) -> tuple[str, ...]:
        """Rebuild daily summaries whose events changed; mask those whose events are gone."""
        done = []
        folder = category_directory(self._root, "monitoring_data")
        sought = mentions(identity)
        for path in sorted(folder.glob("daily-summary-*.json")):
            date = path.stem.removeprefix("daily-summary-")
            if path.is_symlink() or path != summary_path(self._root, date):
                continue
            content = path.read_bytes()
            if date not in days and not sought(content):
                continue
            done.append(str(path.relative_to(self._root)))
            if dry_run:
                continue
            files: list[LogFile] = log_files(self._root, since=date, until=date)
            if date in days and files:
                write_daily_summary(self._root, date)
            else:
                with suppress(orjson.JSONDecodeError):
                    content = orjson.dumps(
                        Cover(identity, self._key).covered(orjson.loads(content)),
                        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
                    )
                replace(path, content, mode=stat.S_IMODE(path.stat().st_mode))
        return tuple(done)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a log file in any format."""
    rest = b""
    with open_content(path) as stream:
        while data := stream.read(_BLOCK_BYTES):
            whole, newline, tail = (rest + data).rpartition(b"\n")
            rest = tail
            if newline:
                yield whole + newline
    if rest:
        yield rest
