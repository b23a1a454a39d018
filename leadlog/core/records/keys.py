"""Primary keys as text, as in the records' `lead_id` and `lead_ids`."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from leadlog_processors.rendering import to_json_type

__all__ = ["key_text"]


def key_text(parts: Iterable[Any]) -> str:
    r"""Return a primary key as text in the form of the records; no two keys share a text.

    The parts of a composite key are joined by commas; a comma or backslash inside a part is escaped
    by a backslash. Bytes become `0x` and their hexadecimal digits.

    >>> key_text([7]), key_text(["a,b"]), key_text(["a,b", "c"]), key_text([b"\x00a"])
    ('7', 'a,b', 'a\\,b,c', '0x0061')
    """
    texts = [_text(part) for part in parts]
    if len(texts) == 1:
        return texts[0]
    return ",".join(text.replace("\\", "\\\\").replace(",", "\\,") for text in texts)


def _text(part: Any) -> str:
    if isinstance(part, bytes | bytearray | memoryview):
        return "0x" + bytes(part).hex()
    if isinstance(part, bool | int | float | str | UUID):
        return str(part)
    return str(to_json_type(part))
