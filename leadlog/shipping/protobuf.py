"""OTLP's log messages in protobuf's wire format, as little of it as they need.

`opentelemetry-proto` makes a quarter as many records per second; the tests hold this to it.
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
_HELD_TRUE, _HELD_FALSE = b"\x12\x02\x10\x01", b"\x12\x02\x10\x00"
_SHORT_TEXT: Final = 126
_TEXTS: Final = [bytes((0x12, size + 2, 0x0A, size)) for size in range(_SHORT_TEXT)]
"""What comes before a short text that is the value of a pair."""
_OBJECTS: Final = [bytes((0x12, size + 2, 0x32, size)) for size in range(_SHORT_TEXT)]
"""What comes before a short object that is the value of a pair."""
_ITEMS: Final = [bytes((0x0A, size + 2, 0x0A, size)) for size in range(_SHORT_TEXT)]
"""What comes before a short text in a list."""
_NUMBERS: Final = [bytes((0x12, 2, 0x18, number)) for number in range(128)]
"""A small whole number as the value of a pair."""


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
    """Return a field of the wire type for texts and messages."""
    return tag + _varint(len(content)) + content


@lru_cache(maxsize=4096)
def _key(key: str) -> bytes:
    return _field(b"\x0a", key.encode())


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


def attributes(values: Mapping[str, Any], tag: bytes = b"\x0a") -> bytes:
    """Return key-value fields, without those that are null.

    Args:
        values: Plain data.
        tag: Of the field that repeats; by default that of a KeyValueList or a Resource.
    """
    parts: list[bytes] = []
    for key, value in values.items():
        kind = type(value)
        # What most values are is written out here: a call costs more than the encoding.
        if kind is str:
            content = value.encode()
            size = len(content)
            held = _TEXTS[size] + content if size < _SHORT_TEXT else _held(_field(b"\x0a", content))
        elif value is None:
            continue
        elif kind is dict:
            content = attributes(value)
            size = len(content)
            if size < _SHORT_TEXT:
                held = _OBJECTS[size] + content
            else:
                held = _held(b"\x32" + _varint(size) + content)
        elif kind is float:
            held = b"\x12\x09\x21" + _double(value)
        elif kind is bool:
            held = _HELD_TRUE if value else _HELD_FALSE
        elif kind is int and 0 <= value < 128:
            held = _NUMBERS[value]
        else:
            held = _held(_any(value))
        name = _key(key)
        size = len(name) + len(held)
        parts += (tag, _SHORT[size] if size < 128 else _varint(size), name, held)
    return b"".join(parts)


def _held(content: bytes) -> bytes:
    """Return an AnyValue as the value of a pair."""
    size = len(content)
    return b"\x12" + (_SHORT[size] if size < 128 else _varint(size)) + content


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
    parts = [
        b"\x09" + _fixed64(time_unix_nano),
        b"\x10" + _varint(severity_number),
        _field(b"\x1a", severity_text.encode()),
        _field(b"\x2a", _any(body)),
        attributes(values, b"\x32"),
    ]
    if trace_id:
        parts.append(_field(b"\x4a", trace_id))
    if span_id:
        parts.append(_field(b"\x52", span_id))
    parts.append(b"\x59" + _fixed64(time_unix_nano))
    parts.append(_field(b"\x62", event_name.encode()))
    return b"".join(parts)


def export_request(
    resource: Mapping[str, Any], scope: str, version: str, records: Iterable[bytes]
) -> bytes:
    """Return an ExportLogsServiceRequest of one resource and one scope."""
    scoped = [_field(b"\x0a", _field(b"\x0a", scope.encode()) + _field(b"\x12", version.encode()))]
    scoped += [_field(b"\x12", record) for record in records]
    logs = _field(b"\x0a", attributes(resource)) + _field(b"\x12", b"".join(scoped))
    return _field(b"\x0a", logs)


def partial_success(response: bytes) -> tuple[int, str]:
    """Return (records that were rejected, why) of an ExportLogsServiceResponse.

    Raises:
        ValueError: It is none.
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
                raise ValueError(f"no message of protobuf: wire type {kind}")
            size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError("a message of protobuf that is cut short")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a message of protobuf that is cut short")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
