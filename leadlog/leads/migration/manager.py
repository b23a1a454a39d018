"""`MigrationManager`: migrates files of leads into the lead store."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

from leadlog.core.errors import ValidationError
from leadlog.core.files import output_file
from leadlog.leads.migration.history import BATCH, MigrationHistory, Told
from leadlog.leads.migration.preparing import Input, inputs, new_migration_id, prepare
from leadlog.leads.migration.recording import RejectLog, record_run
from leadlog.leads.migration.records import Reading, records_of
from leadlog.leads.migration.rejects import RejectsFile, check_place
from leadlog.leads.migration.result import MigrationResult, Progress, Reject, SourceResult
from leadlog.leads.migration.run import Migrator
from leadlog.leads.migration.runs import MigrationTables
from leadlog.leads.migration.verify import Verification
from leadlog.leads.store import values
from leadlog.leads.store.engine import Connections
from leadlog.leads.store.location import in_memory

__all__ = ["BATCH", "MigrationManager"]

_MANY = 1000  # new leads after which the planner's statistics are refreshed, as in `add_leads`


class MigrationManager(MigrationHistory):
    """Migrates files of leads into a lead store; resumable after a crash, with rollback.

        >>> from leadlog.leads.store import LeadDatabase
        >>> with LeadDatabase(":memory:", capture=False) as db:
        ...     MigrationManager(db).get_migration_status()
        {'migrations': []}

    Args:
        db: The store.
        backups: Directory for copies and backups, with a subdirectory per migration; by default
            `migration_backups` next to a SQLite file, else in the working directory.
        clock: Returns the current time in microseconds since 1970.
    """

    def migrate_json_files(
        self,
        files: Iterable[str | os.PathLike[str]],
        *,
        dry_run: bool = False,
        backup: bool = True,
        rejects: str | os.PathLike[str] | None = None,
        batch_size: int = BATCH,
        verify: bool = True,
        encoding: str | None = None,
        table: bool = False,
        delimiter: str | None = None,
        header_row: int | None = None,
        sheet: str | None = None,
        columns: Mapping[str, str] | None = None,
        progress: Told | None = None,
    ) -> MigrationResult:
        """Migrate the leads of some files into the store.

        Each record becomes a new lead, updates the lead of which it is a duplicate, or is rejected
        with a reason. This outcome is committed together with the lead. So a migration that was
        interrupted, in whatever way, resumes when it is called again with the same files, and
        migrating a file a second time changes nothing.

        Args:
            files: Files, patterns, directories (for their `*lead*.json` files), or `-` for standard
                input: JSON (an array, `{"leads": [...]}`, one record), JSON Lines or CSV,
                plain or compressed by gzip or zstd, or a workbook (.xlsx, .xlsb, .xls, .ods).
            dry_run: Whether to only read and check the files.
            backup: Whether to copy the files and back up the store first.
            rejects: A file for the rejected records, which can be corrected and migrated.
            batch_size: Number of records per transaction.
            verify: Whether to read the files again at the end and compare them with the store.
            encoding: Encoding of the files; by default UTF-8, UTF-16 or UTF-32, detected from the
                first bytes.
            table: Whether to read the files as CSV, whatever their names.
            delimiter: Delimiter of the cells of a row; detected by default.
            header_row: Line number of the header, from 1; detected by default.
            sheet: Name or number (from 1) of the sheet of a workbook; by default the first sheet
                with a header of leads, or with rows if there is none or `header_row` is given.
            columns: Field by column, for columns with unknown names; `raw_data` keeps a column
                without mapping it to a field.
            progress: Called with the progress. An exception that it raises aborts the run, which
                can be resumed.

        Returns:
            The counts, rejects and notes of the migration, in total and per file.

        Raises:
            ReadError: A file does not exist, cannot be read, or is not a table of leads.
            MigrationError: The backup cannot be made, or a resumed source no longer yields the same
                records.
            ValidationError: `batch_size`, `delimiter` or `header_row` is invalid, or `columns`
                names an unknown field.
        """
        values.count(batch_size, "batch_size", least=1)
        if header_row is not None:
            values.count(header_row, "header_row", least=1)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
            raise ValidationError(
                f"delimiter is {values.shown(delimiter)}; give one character such as ; or a tab"
            )
        given_columns = tuple(sorted((columns or {}).items()))
        reading = Reading(encoding, table, delimiter, header_row, sheet, given_columns)
        reading.known_columns()
        result = MigrationResult(new_migration_id(self._now()), dry_run=dry_run)
        if dry_run:
            result.duplicates = None
        result.rejects_file = None if rejects is None else check_place(Path(rejects))
        told = progress or (lambda _: None)
        if isinstance(files, str | os.PathLike):
            files = [files]
        started = time.perf_counter()
        with ExitStack() as stack:
            given = inputs(
                files, stack, lambda name, more: told(Progress(name, "copying", more, more, 0))
            )
            result.sources = [one.source for one in given]
            error: BaseException | None = None
            try:
                self._migrate(
                    given,
                    result,
                    reading,
                    backup=backup,
                    batch_size=batch_size,
                    verify=verify,
                    told=told,
                )
            except BaseException as failure:
                error = failure
                raise
            finally:
                if not dry_run:
                    wall_ms = (time.perf_counter() - started) * 1000
                    record_run(result, validated=verify, error=error, wall_ms=wall_ms)
        return result

    def _migrate(
        self,
        given: list[Input],
        result: MigrationResult,
        reading: Reading,
        *,
        backup: bool,
        batch_size: int,
        verify: bool,
        told: Told,
    ) -> None:
        for one in given:
            # A file that is not a table is refused before a run begins.
            with records_of(one.path, reading, one.source.path):
                pass
        runs = MigrationTables(self._db)
        writes = False
        if not result.dry_run:
            writes = prepare(
                self._db,
                given,
                result,
                reading,
                root=self._root if backup else None,
                now=self._now(),
            )
        with ExitStack() as stack:
            rejects = None
            if result.rejects_file is not None:
                stream = stack.enter_context(output_file(result.rejects_file))
                rejects = RejectsFile(stream)
            log = None if result.dry_run else RejectLog(result.migration_id)

            def rejected(reject: Reject, fresh: bool) -> None:
                if rejects is not None:
                    rejects.write(reject)
                if log is not None and fresh:
                    log.take(reject)

            total = sum(one.source.size_bytes for one in given)
            before = 0

            def come(source: SourceResult, done: int) -> None:
                told(Progress(source.path, "reading", before + done, total, result.records))

            run = Migrator(
                None if result.dry_run else self._db,
                result,
                batch_size=batch_size,
                rejected=rejected,
                progress=come,
            )
            started = time.perf_counter()
            try:
                with self._db.connections.bulk_loading():
                    for one in given:
                        run.source(one.source, one.path, reading)
                        before += one.source.size_bytes
            finally:
                result.seconds = time.perf_counter() - started
                if log is not None:
                    log.finish()
        if verify and not result.dry_run:
            self._verify_run(given, result, reading, told, writes=writes)
        if writes:
            self._end(runs, result)

    def _verify_run(
        self,
        given: list[Input],
        result: MigrationResult,
        reading: Reading,
        told: Told,
        *,
        writes: bool,
    ) -> None:
        started = time.perf_counter()
        report = Verification(result.migration_id)
        for one in given:
            self._compare(
                one.source.path,
                one.path,
                reading,
                report=report,
                told=told,
                ended_at=None if writes else self._ended_at(reading.account(one.source.sha256)),
            )
        result.verify_seconds = time.perf_counter() - started
        result.data_integrity_maintained = report.ok and report.records == result.records
        result.notes += report.problems

    def _end(self, runs: MigrationTables, result: MigrationResult) -> None:
        run = self._run(result.migration_id)
        after = runs.state()
        details = run.details | {
            "after": [after.count, after.versions],
            "integrity": result.data_integrity_maintained,
        }
        runs.end(run.id, self._now(), details)
        if result.migrated >= _MANY and not in_memory(self._db.url):
            with closing(Connections(self._db.url)) as connections:
                connections.refresh_statistics()
