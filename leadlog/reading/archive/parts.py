"""Parts of the archive: written under hidden names, read back, and renamed.

    archive/category=…/date=…/.part-2026-11-23.parquet.tmp   written, synced, read back, compared
    archive/category=…/date=…/part-2026-11-23.parquet        renamed, and the folder synced

The comparison covers the whole content: the part must reproduce it byte for byte, including damaged
lines (stored next to it) and spaces.
"""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import orjson

from leadlog.core.errors import ReadError
from leadlog.core.files import draft, sync_folder
from leadlog.reading.archive.seal import take_after
from leadlog.reading.duck import connect, literally, message_of, parquet, quoted
from leadlog.reading.events import LINE_LIMIT_BYTES, TIMESTAMP_PATTERN
from leadlog.reading.lines import LINE_NUMBER, RAW, columns_of_line, line_of_columns
from leadlog.reading.part import Damaged, damaged_path, restored

__all__ = [
    "Content",
    "compare",
    "remove_part",
    "take_after_original",
    "writing_part",
]

Content = Callable[[], Iterable[bytes]]
"""Function that yields a content in blocks, each time from its beginning."""


@attrs.frozen
class _Written:
    """The source of a part."""

    size_bytes: int
    lines: int
    sha256: str


@contextmanager
def writing_part(part: Path, category: str, content: Content) -> Iterator[list[Path]]:
    """Write a content as a part, read it back, and rename it when the block ends.

    Args:
        part: the final path.
        category: category of the lines.
        content: content of a `.jsonl` file.

    Yields:
        The drafts: that of the damaged lines, if there are any, and last that of the part. They are
        renamed in this order.

    Raises:
        ReadError: the part does not reproduce the content.
        MissingExtraError: DuckDB is not installed.
        OSError: a file cannot be read or written; no draft is left.
    """
    beside = damaged_path(part)
    with draft(part) as place, ExitStack() as stack:
        written = _measure(content())
        connection = connect()
        try:
            events = _write_events(connection, Path(place), category, content, written)
        finally:
            connection.close()
        drafts = [Path(place)]
        others = _others(content(), events)
        first = next(others, None)
        if first is not None:
            drafts.insert(0, Path(stack.enter_context(draft(beside))))
            with drafts[0].open("wb") as stream:
                _write_damaged(stream, chain([first], others))
        compare(Path(place), category, content(), damaged=None if first is None else drafts[0])
        yield drafts
    if first is None:
        beside.unlink(missing_ok=True)


def remove_part(part: Path) -> None:
    """Remove a part, then its damaged lines, and its folder if it is empty.

    Raises:
        OSError: the part cannot be removed.
    """
    part.unlink()
    damaged_path(part).unlink(missing_ok=True)
    sync_folder(part.parent)
    with suppress(OSError):  # not empty
        part.parent.rmdir()


def take_after_original(source: int, drafts: Iterable[Path]) -> None:
    """Give drafts the permissions, group and modification time of an open file.

    Raises:
        OSError: an attribute cannot be set.
    """
    for path in drafts:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            take_after(source, fd)
            os.fsync(fd)
        finally:
            os.close(fd)


def _write_events(
    connection: Any,
    draft: Path,
    category: str,
    content: Content,
    written: _Written,
) -> bytearray:
    """Write the lines that are events; return a byte per line, 1 for an event."""
    import duckdb
    import pyarrow as pa

    schema = pa.schema([(LINE_NUMBER, pa.int64()), ("line", pa.string())])
    connection.register(
        "lines", pa.RecordBatchReader.from_batches(schema, _batches(pa, schema, content()))
    )
    text = line_of_columns(category)
    is_moment = (
        "timestamp IS NOT NULL AND regexp_full_match("
        f"json_extract_string(line, '$.timestamp'), {quoted(TIMESTAMP_PATTERN)})"
    )
    source = quoted(orjson.dumps(attrs.asdict(written)).decode())
    try:
        connection.execute(
            f"COPY (SELECT * EXCLUDE (line), CASE WHEN {text} IS DISTINCT FROM line THEN line END "
            f"AS {RAW} FROM (SELECT {LINE_NUMBER}, line, "
            f"{columns_of_line(category, 'CASE WHEN json_valid(line) THEN line END')} FROM lines) "
            f"WHERE {is_moment} ORDER BY timestamp, {LINE_NUMBER}) "
            f"TO {quoted(str(draft))} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, "
            f"KV_METADATA {{leadlog: {source}}})"
        )
        events = bytearray(written.lines)
        numbers = connection.execute(
            f"SELECT {LINE_NUMBER} FROM {parquet('?')}",
            [literally(draft)],
        )
        while rows := numbers.fetchmany(65_536):
            for (number,) in rows:
                events[number] = 1
    except duckdb.Error as error:
        raise ReadError(
            f"cannot make {draft.name}: {message_of(error)}; the original stays"
        ) from error
    return events


def _batches(pa: Any, schema: Any, content: Iterable[bytes]) -> Iterator[Any]:
    first = 0
    for lines, _ in _lines(content):
        kept: list[Any] = [line if len(line) < LINE_LIMIT_BYTES else None for line in lines]
        try:
            texts = pa.array(kept, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:  # some bytes are not UTF-8
            texts = pa.array([_text(line) for line in kept], pa.string())
        numbers = pa.array(range(first, first + len(lines)), pa.int64())
        first += len(lines)
        yield pa.record_batch([numbers, texts], schema)


def _text(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _others(content: Iterable[bytes], events: bytearray) -> Iterator[Damaged]:
    """Yield the lines that are not events, and a last one without a line end."""
    number = 0
    for lines, rest in _lines(content):
        for line in lines:
            if not events[number]:
                yield Damaged(number, line)
            number += 1
        if rest:
            yield Damaged(number, rest, unfinished=True)


def _write_damaged(stream: io.BufferedWriter, others: Iterable[Damaged]) -> None:
    for one in others:
        data: dict[str, Any] = {
            "line_number": one.line_number,
            "base64": base64.b64encode(one.content).decode(),
        }
        if one.unfinished:
            data["unfinished"] = True
        stream.write(orjson.dumps(data) + b"\n")


def _lines(content: Iterable[bytes]) -> Iterator[tuple[list[bytes], bytes]]:
    """Yield complete lines in batches; the last batch has the text after the last newline."""
    held: list[bytes] = []
    for block in content:
        end = block.rfind(b"\n")
        if end < 0:
            held.append(block)
            continue
        lines = b"".join([*held, block[:end]]).split(b"\n")
        held = [block[end + 1 :]]
        yield lines, b""
    yield [], b"".join(held)


def _measure(content: Iterable[bytes]) -> _Written:
    size = lines = 0
    digest = hashlib.sha256()
    for block in content:
        size += len(block)
        lines += block.count(b"\n")
        digest.update(block)
    return _Written(size, lines, digest.hexdigest())


def compare(
    part: Path, category: str, content: Iterable[bytes], *, damaged: Path | None = None
) -> None:
    """Check that a part reproduces a content.

    Raises:
        ReadError: it differs.
    """
    expected = _measure(content)
    found = _measure(restored(part, category, damaged=damaged))
    if found != expected:
        raise ReadError(
            f"{part} does not reproduce its original ({found.lines} lines for "
            f"{expected.lines}); the original stays"
        )
