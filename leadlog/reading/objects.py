"""Sealed days of many hosts in an object store, and their retrieval by readers.

    <url>/category=…/date=…/host=…/part-….parquet           the events, as they were sealed
    <url>/_manifests/<host>/<category>/<date>/part-….json   what a part is, written after it

A part is valid once its manifest exists. Readers of Hive folders ignore names that begin with `_`,
so Spark, DuckDB and Athena read the store directly. Credentials are found as by AWS tools: in the
environment, the shared files, or the instance.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import orjson

from leadlog.core.errors import MissingExtraError, ReadError
from leadlog.core.layout import archive_directory, parse_name
from leadlog.reading.part import damaged_path

__all__ = ["Manifest", "ObjectStore", "is_store", "local_copy", "open_store"]

MANIFESTS: Final = "_manifests"
_BLOCK_BYTES: Final = 1 << 20
_MERGED_SEGMENT: Final = 1_000_000  # no day has that many segments
_not_a_word: Final = re.compile(r"[^A-Za-z0-9_-]+")


@attrs.frozen(kw_only=True)
class Manifest:
    """The manifest of a part in the store.

    Attributes:
        category: Category of the records.
        date: UTC day.
        host: Host of the records.
        part: Name of the part, `part-….parquet`.
        bytes: Size of the part.
        sha256: SHA-256 of its content.
        records: Number of its records.
        damaged: Whether its damaged lines are stored next to it.
        replaces: Parts of the same day and host that this one contains.
    """

    category: str
    date: str
    host: str
    part: str
    bytes: int
    sha256: str
    records: int
    damaged: bool = False
    replaces: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The part's folder, relative to the store's URL."""
        return f"category={self.category}/date={self.date}/host={self.host}"

    @property
    def path(self) -> str:
        """The manifest's path, relative to the store's URL."""
        stem = self.part.removesuffix(".parquet")
        return f"{MANIFESTS}/{self.host}/{self.category}/{self.date}/{stem}.json"


def is_store(source: str | None) -> bool:
    """Return whether a text is the URL of an object store."""
    return source is not None and source.startswith("s3://")


def host_word(host: str) -> str:
    """Return a host's name in a form that is valid in names of folders and files."""
    return _not_a_word.sub("-", host).strip("-") or "unknown"


class ObjectStore:
    """A prefix of a bucket.

    Args:
        url: `s3://bucket/prefix`.
        region: Region of the bucket; by default as AWS tools determine it.
        endpoint: URL of a store that is not AWS.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, url: str, region: str = "", endpoint: str = "") -> None:
        try:
            from pyarrow import fs
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "an object store needs pyarrow; install it with: pip install 'leadlog[analytics]'"
            ) from error
        parts = urlsplit(url)
        # pyarrow's own limit is 3 seconds, which a store that is busy takes.
        options: dict[str, Any] = {"request_timeout": 30, "connect_timeout": 5}
        if region:
            options["region"] = region
        if endpoint:
            where = urlsplit(endpoint)
            options |= {"scheme": where.scheme, "endpoint_override": where.netloc}
        self.url = f"s3://{parts.netloc}{parts.path}".rstrip("/")
        self._fs = fs
        # A small file is one request, so that nothing can be left of it but all.
        self._files = fs.S3FileSystem(allow_delayed_open=True, **options)
        self._base = f"{parts.netloc}{parts.path}".rstrip("/")

    def put(self, path: str, source: Path) -> None:
        """Write a file atomically.

        Raises:
            OSError: The file cannot be written.
        """
        with source.open("rb") as content, self._writing(path) as out:
            while block := content.read(_BLOCK_BYTES):
                out.write(block)

    def put_bytes(self, path: str, content: bytes) -> None:
        """Write a small file atomically; raises as `put`."""
        with self._writing(path) as out:
            out.write(content)

    @contextmanager
    def _writing(self, path: str) -> Iterator[Any]:
        out = self._files.open_output_stream(self._at(path))
        try:
            yield out
            out.close()
        except BaseException:
            # When garbage-collected, a failed stream would complete its upload, perhaps over the
            # content of a later attempt, unless it is closed now.
            with suppress(OSError):
                out.close()
            raise

    def remove(self, path: str) -> None:
        """Remove a file; a missing one is ignored.

        Raises:
            OSError: The file cannot be removed.
        """
        found = self._files.get_file_info(self._at(path))
        if found.type == self._fs.FileType.File:
            self._files.delete_file(self._at(path))

    def read(self, path: str) -> bytes | None:
        """Return a small file's content; None if it does not exist.

        Raises:
            OSError: The file cannot be read.
        """
        try:
            with self._files.open_input_stream(self._at(path)) as content:
                found: bytes = content.read()
                return found
        except FileNotFoundError:
            return None

    def fetch(self, path: str, target: Path) -> str:
        """Download a file; return the SHA-256 of its content.

        Raises:
            OSError: The file cannot be read or written.
        """
        digest = hashlib.sha256()
        with self._files.open_input_stream(self._at(path)) as content, target.open("wb") as out:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
                out.write(block)
        return digest.hexdigest()

    def manifests(self, since: str | None = None, until: str | None = None) -> list[Manifest]:
        """Return the manifests of all valid parts, by host, category and day.

        Args:
            since: First UTC day to include.
            until: Last UTC day to include.

        Raises:
            OSError: The store cannot be listed.
            ReadError: A manifest is damaged.
        """
        selector = self._fs.FileSelector(self._at(MANIFESTS), allow_not_found=True, recursive=True)
        found = []
        for info in sorted(self._files.get_file_info(selector), key=lambda one: one.path):
            path = info.path[len(self._base) + 1 :]
            if info.type != self._fs.FileType.File or not path.endswith(".json"):
                continue
            day = path.split("/")[-2]
            if (since and day < since) or (until and day > until):
                continue
            content = self.read(path)
            if content is not None:
                found.append(_manifest(content, f"{self.url}/{path}"))
        replaced = {(one.folder, name) for one in found for name in one.replaces}
        return [one for one in found if (one.folder, one.part) not in replaced]

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}"


def _manifest(content: bytes, where: str) -> Manifest:
    try:
        values = orjson.loads(content)
        return Manifest(**{**values, "replaces": tuple(values.get("replaces", ()))})
    except (orjson.JSONDecodeError, TypeError, AttributeError) as error:
        raise ReadError(f"{where} is not a manifest of leadlog ({error}); remove it") from error


def open_store(source: str) -> ObjectStore:
    """Return the store of a URL, which may end with `?region=…&endpoint=…`.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ReadError: The URL names no bucket.
    """
    parts = urlsplit(source)
    if not parts.netloc:
        raise ReadError(f"{source!r} names no bucket; write s3://bucket/prefix")
    options = dict(parse_qsl(parts.query))
    url = parts._replace(query="").geturl()
    return ObjectStore(url, options.get("region", ""), options.get("endpoint", ""))


@contextmanager
def local_copy(source: str, since: str | None = None, until: str | None = None) -> Iterator[Path]:
    """Yield a log directory with a store's parts of some days, removed when the block ends.

    Args:
        source: URL of the store.
        since: Start of the period; whole days are downloaded.
        until: End of the period.

    Raises:
        ReadError: The store cannot be read or is empty, or a part differs from its manifest.
        MissingExtraError: pyarrow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="leadlog-spill-") as folder:
        root = Path(folder)
        try:
            store = open_store(source)
            wanted = store.manifests(since and since[:10], until and until[:10])
            if not wanted and not store.manifests():
                raise ReadError(
                    f"there is nothing of leadlog's at {store.url}; ship sealed days there with "
                    "`leadlog ship`"
                )
            for one in wanted:
                _fetch(store, one, root)
        except OSError as error:
            raise ReadError(f"cannot read {source}: {error}") from error
        yield root


def _fetch(store: ObjectStore, one: Manifest, root: Path) -> None:
    file = parse_name(one.part)
    if file is None:
        raise ReadError(
            f"{store.url}/{one.folder}/{one.part} is not a part that leadlog made; remove it"
        )
    if file.merged:
        file = replace(file, writer=0, segment=_MERGED_SEGMENT + file.segment)
    file = replace(file, host=host_word(one.host), archived=True)
    target = archive_directory(root, one.category, one.date) / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    found = store.fetch(f"{one.folder}/{one.part}", target)
    if found != one.sha256:
        raise ReadError(
            f"{store.url}/{one.folder}/{one.part} is not what its manifest says; ship it again "
            "from its host, after `leadlog ship forget`"
        )
    if one.damaged:
        other = damaged_path(Path(one.part)).name
        store.fetch(f"{one.folder}/{other}", damaged_path(target))
