"""The files to migrate: finding them, and opening them in any compression and encoding."""

import codecs
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO

from leadlog.core.doors import parameter
from leadlog.core.errors import MigrationError, ReadError
from leadlog.reading.compressed import Unpacked

__all__ = ["STDIN", "SourceText", "found", "is_table", "opened"]

STDIN = "-"
"""The name for standard input."""

_FORMS = (".json", ".jsonl", ".ndjson")
_PACKED = ("", ".gz", ".zst")
_IN_DIRECTORIES = tuple(f"*lead*{form}{packed}" for form in _FORMS for packed in _PACKED)
_TABLES = (".csv", ".tsv", ".tab")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16, so it must come first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BEFORE_TEXT = codecs.BOM_UTF8 + codecs.BOM_UTF16_LE + b"\0 \t\r\n"
_CHUNK = 64 * 1024
_FEW = 50
"""Content with more than one NUL per this many bytes is not text; single ones are reported."""
_REJECTS = b'{"source": '
_NO_TABLES = {
    b"%pdf": "a PDF document",
    b"\x89png": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"gif8": "a picture",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<table": "a web page",
    b"<?xml": "an XML document",
    b"{\\rtf": "a text document",
    b"begin:vcard": "an address book of vCards",
    b"par1": "a Parquet file",
}
# Encodings of exports, the most frequent first.
_LIKELY = ["cp1252", "cp1250", "cp1251", "mac_roman", "cp932", "gb18030", "big5", "euc_kr"]


def likely_encoding(data: bytes) -> str | None:
    """Return the most likely encoding of bytes that are not UTF-8; None if unknown."""
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_CHUNK], cp_isolation=_LIKELY).best()
    if best is None:
        return None
    # Several may decode to the same text; take the most frequent of them.
    text = str(best)
    return next(
        (one for one in _LIKELY if data[:_CHUNK].decode(one, "replace") == text), best.encoding
    )


def found(sources: Iterable[str | os.PathLike[str]]) -> list[Path | None]:
    """Return the files for some names and patterns, each once, in order; None for standard input.

    Args:
        sources: Files, patterns such as `exports/*.json`, directories (for their files with `lead`
            in the name and a JSON suffix), or `-` for standard input.

    Raises:
        ReadError: A name matches no file.
    """
    files: dict[Path | None, None] = {}
    for source in sources:
        for file in _meant(os.fspath(source)):
            files.setdefault(file)
    if not files:
        raise ReadError("nothing to migrate was given; give a file of leads, or - for stdin")
    return list(files)


def _meant(source: str) -> list[Path | None]:
    if source == STDIN:
        return [None]
    path = Path(source).expanduser()
    if path.is_dir():
        inside = sorted(
            entry
            for entry in path.iterdir()
            if entry.is_file() and any(fnmatch(entry.name.lower(), one) for one in _IN_DIRECTORIES)
        )
        if not inside:
            raise ReadError(
                f"the directory {path} has no file that is named like *lead*.json; name the file"
            )
        return [entry.absolute() for entry in inside]
    if path.exists():
        return [path.absolute()]
    matches = sorted(glob(str(path), recursive=True)) if has_magic(source) else []  # noqa: PTH207 - an absolute pattern, which Path.glob refuses
    files = [Path(match).absolute() for match in matches if Path(match).is_file()]
    if not files:
        raise ReadError(f"there is no file {source}; check the name")
    return list(files)


def is_table(path: Path, text: "SourceText") -> bool:
    """Return whether a file is a table, by its name, or by its first bytes if that is unclear."""
    if _is_named(path, _TABLES) or _is_named(path, _FORMS):
        return _is_named(path, _TABLES)
    return not text.seems_json()


def _is_named(path: Path, forms: Iterable[str]) -> bool:
    return any(fnmatch(path.name.lower(), f"*{form}{more}") for form in forms for more in _PACKED)


@dataclass(slots=True)
class SourceText:
    """The text of a source.

    Attributes:
        encoding: Its encoding.
        problem: The reason why reading stopped early, if the file is damaged.
        escaped: Whether it contains bytes that are not UTF-8; they become lone surrogates.
        likely: The most likely actual encoding in that case.
    """

    _stream: BinaryIO
    _raw: BinaryIO
    encoding: str = ""
    problem: str | None = None
    escaped: bool = False
    likely: str | None = None
    _decoder: codecs.IncrementalDecoder | None = None
    _utf8: bool = True
    _head: bytes = b""

    @property
    def position(self) -> int:
        """Number of bytes of the file read so far."""
        return self._raw.tell()

    def read(self, size: int) -> str:
        """Return about `size` further characters; an empty text at the end."""
        while True:
            data = self._bytes(max(size, _CHUNK))
            if self._decoder is None:
                data, self._decoder = self._begin(data)
            text = self._decode(self._decoder, data)
            if text or not data:
                return text

    def not_utf8(self, text: str) -> str | None:
        """Return the reason why a part of the text is not UTF-8; None if it is."""
        if not self.escaped or not any("\udc80" <= char <= "\udcff" for char in text):
            return None
        likely = self.likely or "cp1252"
        return (
            f"the row is not UTF-8, most likely it is {likely}; read the file again with "
            + parameter(f"encoding={likely!r}", f"--encoding {likely}")
        )

    def seems_json(self) -> bool:
        """Return whether the source begins like a JSON array or object, or is empty."""
        return self._peek().lstrip(_BEFORE_TEXT)[:1] in (b"", b"[", b"{")

    def check_table(self, name: str) -> None:
        """Check that the beginning of a source can be a table.

        Raises:
            ReadError: It is another kind of file.
        """
        begin = self._peek()
        for sign, what in _NO_TABLES.items():
            if begin.lstrip().lower().startswith(sign):
                raise ReadError(f"{name} is {what}, not a table; export it as CSV or as a workbook")
        wide = self.encoding.startswith("utf-16") or self.encoding.startswith("utf-32")
        if (
            begin.count(b"\0") * _FEW > len(begin)
            and not wide
            and json.detect_encoding(begin[:4]).startswith("utf-8")
        ):
            raise ReadError(f"{name} is not text; export it as CSV or as a workbook")

    def _peek(self) -> bytes:
        """Return the first bytes without consuming them."""
        if not self._head:
            self._head = self._bytes(_CHUNK)
        return self._head

    def _bytes(self, size: int) -> bytes:
        if self.problem is not None:
            return b""
        if self._head:
            head, self._head = self._head, b""
            return head
        try:
            return self._stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile, ReadError) as error:
            self.problem = (
                f"the compressed source is damaged ({str(error).partition(';')[0]}); what comes "
                "after cannot be read, so get a whole copy of it"
            )
            return b""

    def _begin(self, data: bytes) -> tuple[bytes, codecs.IncrementalDecoder]:
        if not self.encoding:
            marked = (encoding for mark, encoding in _MARKS if data.startswith(mark))
            self.encoding = next(marked, None) or json.detect_encoding(data[:4])
        if self.encoding == "utf-8-sig":
            data = data.removeprefix(codecs.BOM_UTF8)
        self._utf8 = self.encoding in {"utf-8", "utf-8-sig"}
        name = "utf-8" if self._utf8 else self.encoding
        return data, codecs.getincrementaldecoder(name)()

    def _decode(self, decoder: codecs.IncrementalDecoder, data: bytes) -> str:
        try:
            return decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            if not self._utf8:
                self.problem = (
                    f"the source is not {self.encoding} ({error.reason}); the rest cannot "
                    "be read, so give another encoding"
                )
                return ""
            pending = decoder.getstate()[0]
        # From here on such bytes become surrogates; the reader rejects their records.
        self.escaped = True
        self.likely = likely_encoding(pending + data)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        return self._decoder.decode(pending + data, final=not data)


@contextmanager
def opened(path: Path, encoding: str | None = None) -> Iterator[SourceText]:
    """Open a source; its compression is detected from its first bytes.

    Args:
        path: The file.
        encoding: Its encoding; by default UTF-8, UTF-16 or UTF-32, detected from the first bytes.

    Raises:
        MigrationError: There is no such encoding.
        OSError: The file cannot be read.
    """
    if encoding is not None:
        try:
            encoding = codecs.lookup(encoding).name
        except LookupError:
            raise MigrationError(
                f"there is no encoding {encoding!r}; give one such as utf-8, latin-1 or cp1252"
            ) from None
    with path.open("rb") as raw:
        begin = raw.read(len(_REJECTS))
        raw.seek(0)
        if begin == _REJECTS:
            encoding = "utf-8"  # a rejects file is UTF-8, whatever the encoding of its sources
        if begin.startswith(_GZIP):
            with io.BufferedReader(gzip.GzipFile(fileobj=raw), _CHUNK) as unpacked:
                yield SourceText(unpacked, raw, encoding or "")
        elif begin.startswith(_ZSTD):
            with io.BufferedReader(Unpacked(raw, path), _CHUNK) as unpacked:
                yield SourceText(unpacked, raw, encoding or "")
        else:
            yield SourceText(raw, raw, encoding or "")
