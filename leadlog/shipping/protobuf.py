"""OTLP's log messages in protobuf's wire format, limited to what they need.

`opentelemetry-proto` encodes a quarter as many records per second; the tests compare both.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, Final

__all__ = ["attributes", "export_request", "log_record", "partial_success"]

_double: Final = Struct("<d").pack
_fixed64: Final = Struct("<Q").pack
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LOW_BITS: Final = (1 << 64) - 1
_SHORT: Final = [bytes((number,)) for number in range(128)]
_TRUE, _FALSE, _EMPTY = b"\x10\x01", b"\x10\x00", b""
_SHORT_TEXT: Final = 126
_ITEMS: Final = [bytes((0x0A, size + 2, 0x0A, size)) for size in range(_SHORT_TEXT)]
"""Prefixes of a short text in a list, by its size."""
_MOST_SIZES, _MOST_KEYS = 512, 4096


def _varint(number: int) -> bytes:
    if 0 <= number < 128:
        return _SHORT[number]
    if 0 < number < 16_384:
        return bytes((number & 127 | 128, number >> 7))
    number &= _LOW_BITS
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(tag: bytes, content: bytes) -> bytes:
    """Return a field of wire type 2, for texts and messages."""
    return tag + _varint(len(content)) + content


class _Sizes(dict[int, bytes]):
    """Prefixes of a key's values, by the size of the value.

    Args:
        tag: Tag of the pair's field.
        name: The encoded key, the pair's first field.
        kind: Tag of the type of value.
    """

    __slots__ = ("_kind", "_name", "_tag")

    def __init__(self, tag: bytes, name: bytes, kind: bytes) -> None:
        self._tag, self._name, self._kind = tag, name, kind

    def __missing__(self, size: int) -> bytes:
        inner = self._kind + _varint(size)
        held = b"\x12" + _varint(len(inner) + size) + inner
        found = self._tag + _varint(len(self._name) + len(held) + size) + self._name + held
        if size < _MOST_SIZES:
            self[size] = found
        return found


class _Numbers(dict[int, bytes]):
    """Encoded pairs of a key and an integer, cached because most values recur."""

    __slots__ = ("_pair",)

    def __init__(self, pair: "_Pair") -> None:
        self._pair = pair

    def __missing__(self, value: int) -> bytes:
        found = self._pair.of(_any(value))
        if len(self) < _MOST_SIZES:
            self[value] = found
        return found


class _Pair:
    """Prefixes of one key's pairs, cached because records of one type share their keys."""

    __slots__ = ("double", "false", "lists", "name", "numbers", "objects", "tag", "texts", "true")

    def __init__(self, tag: bytes, key: str) -> None:
        name = _field(b"\x0a", key.encode())
        self.tag, self.name = tag, name
        self.texts = _Sizes(tag, name, b"\x0a")
        self.objects = _Sizes(tag, name, b"\x32")
        self.lists = _Sizes(tag, name, b"\x2a")
        self.true, self.false = self.of(_TRUE), self.of(_FALSE)
        self.numbers = _Numbers(self)
        self.double = self.of(b"\x21" + bytes(8))[:-8]

    def of(self, value: bytes) -> bytes:
        """Return the encoded pair of the key and an encoded value."""
        return _field(self.tag, self.name + _field(b"\x12", value))


class _Texts(dict[str, _Sizes]):
    """Prefixes of text values by key: most values are texts."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: "_Pairs") -> None:
        self._pairs = pairs

    def __missing__(self, key: str) -> _Sizes:
        found = self._pairs[key].texts
        self[key] = found
        return found


class _Pairs(dict[str, _Pair]):
    """Prefixes for the pairs of a repeated field, by key.

    Attributes:
        texts: Prefixes of text values, by key and size.
    """

    __slots__ = ("_tag", "texts")

    def __init__(self, tag: bytes) -> None:
        self._tag, self.texts = tag, _Texts(self)

    def __missing__(self, key: str) -> _Pair:
        if len(self) >= _MOST_KEYS:
            self.clear()
            self.texts.clear()
        found = self[key] = _Pair(self._tag, key)
        return found


_VALUES: Final = _Pairs(b"\x0a")
"""Pairs of a KeyValueList or a Resource."""
_ATTRIBUTES: Final = _Pairs(b"\x32")
"""Pairs of a LogRecord's attributes."""


def _any(value: Any) -> bytes:
    """Return the content of an AnyValue; empty for null."""
    kind = type(value)
    if kind is str:
        return _field(b"\x0a", value.encode())
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is int:
        if _LEAST <= value <= _MOST:
            return b"\x18" + _varint(value)
        return _any(float(value))
    if kind is float:
        return b"\x21" + _double(value)
    if kind is dict:
        return _field(b"\x32", attributes(value))
    if kind is list:
        return _field(b"\x2a", b"".join(map(_item, value)))
    return _EMPTY


def _item(value: Any) -> bytes:
    """Return an AnyValue in a list."""
    if type(value) is str:
        content = value.encode()
        size = len(content)
        if size < _SHORT_TEXT:
            return _ITEMS[size] + content
    return _field(b"\x0a", _any(value))


def attributes(values: Mapping[str, Any], pairs: _Pairs = _VALUES) -> bytes:
    """Return the key-value fields of a mapping, without those that are null.

    Args:
        values: Plain data.
        pairs: Prefixes of the repeated field; by default those of a KeyValueList or a Resource.
    """
    parts: list[bytes] = []
    texts = pairs.texts
    for key, value in values.items():
        kind = type(value)
        # The most frequent types are inlined: a call costs more than the encoding.
        if kind is str:
            content = value.encode()
            parts += (texts[key][len(content)], content)
            continue
        if value is None:
            continue
        pair = pairs[key]
        if kind is float:
            parts += (pair.double, _double(value))
        elif kind is bool:
            parts.append(pair.true if value else pair.false)
        elif kind is dict:
            content = attributes(value)
            parts += (pair.objects[len(content)], content)
        elif kind is list:
            content = b"".join(map(_item, value))
            parts += (pair.lists[len(content)], content)
        elif kind is int:
            parts.append(pair.numbers[value])
    return b"".join(parts)


def log_record(
    *,
    time_unix_nano: int,
    severity_number: int,
    severity_text: str,
    body: Mapping[str, Any],
    values: Mapping[str, Any],
    trace_id: bytes,
    span_id: bytes,
    event_name: str,
) -> bytes:
    """Return a LogRecord; the arguments are its fields."""
    at, content = _fixed64(time_unix_nano), attributes(body)
    size = len(content)
    inner = _varint(size)
    parts = [
        *(b"\x09", at, _severity(severity_number, severity_text)),
        *(b"\x2a", _varint(size + len(inner) + 1), b"\x32", inner, content),
        attributes(values, _ATTRIBUTES),
    ]
    if trace_id:
        parts.append(_field(b"\x4a", trace_id))
    if span_id:
        parts.append(_field(b"\x52", span_id))
    parts += (b"\x59", at, _name(event_name))
    return b"".join(parts)


@lru_cache(maxsize=256)
def _severity(number: int, text: str) -> bytes:
    return b"\x10" + _varint(number) + _field(b"\x1a", text.encode())


@lru_cache(maxsize=4096)
def _name(text: str) -> bytes:
    return _field(b"\x62", text.encode())


def export_request(
    resource: Mapping[str, Any], scope: str, version: str, records: Iterable[bytes]
) -> bytes:
    """Return an ExportLogsServiceRequest with one resource and one scope."""
    scoped = [_field(b"\x0a", _field(b"\x0a", scope.encode()) + _field(b"\x12", version.encode()))]
    scoped += [_field(b"\x12", record) for record in records]
    logs = _field(b"\x0a", attributes(resource)) + _field(b"\x12", b"".join(scoped))
    return _field(b"\x0a", logs)


def partial_success(response: bytes) -> tuple[int, str]:
    """Return (number of rejected records, reason) of an ExportLogsServiceResponse.

    Raises:
        ValueError: The response is not such a message.
    """
    rejected, message = 0, ""
    for number, value in _read(response):
        if number == 1 and isinstance(value, bytes):
            for inner, found in _read(value):
                if inner == 1 and isinstance(found, int):
                    rejected = found
                elif inner == 2 and isinstance(found, bytes):
                    message = found.decode("utf-8", "replace")
    return rejected, message


def _read(data: bytes) -> Iterable[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if size is None:
            if kind != 2:
                raise ValueError(f"not a protobuf message: wire type {kind}")
            size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError("a truncated protobuf message")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a truncated protobuf message")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
