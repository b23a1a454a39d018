"""Merging of several parts of one day and category into one, killable at any moment.

    .part-2026-11-23.m1.parquet.tmp   written, synced, read back, compared
    _merged-2026-11-23.m1.txt         names the parts that stand in it; on the disk
    part-2026-11-23.m1.parquet        renamed, and the folder synced
    part-2026-11-23[.w1|.1].parquet   removed, and then the list

Before the renaming the old parts are valid. After it, while the list exists, the merged one is, and
a later run finishes the merge before anything else in that folder. The lines of a merged part are
in time order; lines of the same time are in the order of the parts' names.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from leadlog.core.errors import ReadError
from leadlog.core.files import replacing, sync_folder
from leadlog.core.layout import merged_list_path, merged_part_of, parse_name, replaced_parts
from leadlog.reading.archive.folders import Folder
from leadlog.reading.archive.parts import (
    Content,
    take_after_original,
    writing_part,
)
from leadlog.reading.archive.plan import FoundFile
from leadlog.reading.duck import connect, literally, parquet, unreadable
from leadlog.reading.events import decode
from leadlog.reading.lines import LINE_NUMBER, RAW, line_of_columns, with_all_columns
from leadlog.reading.part import damaged_path, read_damaged

__all__ = ["finish_merges", "merge_parts"]

_FETCHED_ROWS = 4096


def merge_parts(
    folder: Folder, merged: Path, parts: Sequence[FoundFile], progress: Callable[[int], object]
) -> int:
    """Replace several parts by one.

    Args:
        folder: the parts' folder in the archive.
        merged: path of the merged part.
        parts: the parts to merge.
        progress: called with the number of further bytes read.

    Returns:
        Size of the merged part in bytes.

    Raises:
        LeftAloneError: one of the parts must not be touched now.
        ReadError: the merged part differs in content and was discarded; or one of the parts is
            damaged.
        MissingExtraError: DuckDB is not installed.
        OSError: a file cannot be read or written.
    """
    paths = [one.file.path for one in parts]
    category = folder.category
    with ExitStack() as stack:
        sources = [stack.enter_context(folder.claimed(one)) for one in parts]
        content = _in_time_order(category, paths)
        with writing_part(merged, category, content) as drafts:
            if _events_of(category, drafts[-1:]) != _events_of(category, paths):
                raise ReadError(
                    f"{merged.name} does not hold the events of the {len(paths)} parts that it "
                    "was made of; they stay"
                )
            newest = max(zip(parts, sources, strict=True), key=lambda pair: pair[0].modified_ns)
            take_after_original(newest[1], drafts)
            _narrow(drafts, sources)
            for one, source in zip(parts, sources, strict=True):
                folder.check(one, source)
                progress(one.size_bytes)
            _write_list(merged, paths)
    finish_merges(folder)
    return merged.stat().st_size


def finish_merges(folder: Folder) -> None:
    """Finish a merge that was killed: remove the old parts and the list.

    Raises:
        OSError: a part cannot be removed; its list then stays too.
    """
    names = os.listdir(folder.path)  # noqa: PTH208 - names suffice
    for name in replaced_parts(folder.path, names):
        file = parse_name(name)
        if file is not None and file.archived:
            part = folder.path / name
            part.unlink(missing_ok=True)
            damaged_path(part).unlink(missing_ok=True)
    lists: set[Path] = set()
    for name in names:
        merged = merged_part_of(name)
        if merged is not None:
            lists.add(folder.path / name)
            if merged not in names:
                damaged_path(folder.path / merged).unlink(missing_ok=True)
    if lists:
        sync_folder(folder.path)
        for path in lists:
            path.unlink()
        sync_folder(folder.path)


def _in_time_order(category: str, paths: Sequence[Path]) -> Content:
    """Return a function that yields the lines of some parts: events, then other lines."""

    def blocks() -> Iterator[bytes]:
        import duckdb

        connection = connect()
        try:
            read = parquet("?", "union_by_name = true", "filename = true")
            found = connection.execute(
                f"SELECT coalesce({RAW}, {line_of_columns(category)}) FROM "
                f"{with_all_columns(category, read)} "
                f"ORDER BY timestamp, filename, {LINE_NUMBER}",
                [[literally(path) for path in paths]],
            )
            while rows := found.fetchmany(_FETCHED_ROWS):
                yield b"".join(line.encode() + b"\n" for (line,) in rows)
        except duckdb.Error as error:
            raise unreadable(f"the parts in {paths[0].parent}", error) from error
        finally:
            connection.close()
        rests = []
        for path in paths:
            for one in read_damaged(damaged_path(path)):
                if one.unfinished:
                    rests.append(one.content)
                else:
                    yield one.content + b"\n"
        # With a newline added, an unfinished line could become an event.
        rests.sort(key=lambda rest: decode(rest) is not None)
        yield b"\n".join(rests)

    return blocks


def _events_of(category: str, paths: Sequence[Path]) -> tuple[int, int]:
    """Return the number of events and the sum of their lines' hashes over all parts."""
    import duckdb

    count = total = 0
    connection = connect()
    try:
        for path in paths:
            found = connection.execute(
                "SELECT count(*), coalesce(sum(md5_number_lower(coalesce("
                f"{RAW}, {line_of_columns(category)}))), 0) "
                f"FROM {with_all_columns(category, parquet('?'))}",
                [literally(path)],
            ).fetchall()
            count += found[0][0]
            total += int(found[0][1])
    except duckdb.Error as error:
        raise unreadable(f"the parts in {paths[0].parent}", error) from error
    finally:
        connection.close()
    return count, total


def _narrow(drafts: Sequence[Path], sources: Sequence[int]) -> None:
    """Remove permissions that not all of the parts have."""
    states = [os.fstat(source) for source in sources]
    rights = 0o777 if len({state.st_gid for state in states}) == 1 else 0o707
    for state in states:
        rights &= state.st_mode
    for draft in drafts:
        draft.chmod(draft.stat().st_mode & rights)


def _write_list(merged: Path, paths: Sequence[Path]) -> None:
    path = merged_list_path(merged)
    with replacing(path) as stream:
        stream.write("".join(f"{one.name}\n" for one in paths).encode())
        os.fchmod(stream.fileno(), paths[0].stat().st_mode & 0o777)
