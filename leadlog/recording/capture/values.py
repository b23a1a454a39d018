"""Values in the form in which the database stores them.

An object's value is often not the stored one: a custom type encrypts or normalises it, an
enumeration is stored by name, a list may change after it was written. Records therefore hold
the sent value, in the plain form of its column's type.
"""

import datetime as dt
import enum
import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import types
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext
from sqlalchemy.types import TypeDecorator, TypeEngine

from leadlog.recording.capture import seam

__all__ = ["UNKNOWN", "Changes", "StorageTypes", "plain", "zone_of"]


class Unknown(enum.Enum):
    """Type of the marker for a value that only the database knows."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN

Changes = dict[str, Any]
"""Column to its change, `{"old": …, "new": …}`; unknown values are left out."""

Convert = Callable[[Any, dt.tzinfo | None], Any]
"""Function of a value and of the database session's time zone, if known."""

_PLAIN: Final = frozenset(
    (
        *(type(None), bool, int, float, str, bytes, Decimal, uuid.UUID),
        *(dt.datetime, dt.date, dt.time, dt.timedelta),
    )
)
_RESULTS: Final = _PLAIN | {list, dict, Unknown}
_MISSING: Final = frozenset(("NAType", "NaTType"))


class StorageTypes:
    """The storage form of one class's values on one engine.

    Args:
        types: attribute to the type of its column.
        dialect: the engine's dialect.

    Attributes:
        sealed: attributes whose stored value differs from the object's.
    """

    def __init__(self, types: Mapping[str, TypeEngine[Any]], dialect: Dialect) -> None:
        self._converts = {key: _convert(kind, dialect) for key, kind in types.items()}
        self._adapts = dialect.driver in ("pysqlite", "aiosqlite")
        self._direct = frozenset(key for key, kind in types.items() if _is_direct(kind, dialect))
        self.sealed = frozenset(key for key, kind in types.items() if _is_sealed(kind, dialect))

    def value(self, key: str, value: Any, zone: dt.tzinfo | None = None) -> Any:
        """Return the stored value; `UNKNOWN` if only the database knows it.

        Args:
            key: the attribute.
            value: the object's value, or the one given to a statement.
            zone: the session's time zone.
        """
        if value is None:
            return None
        try:
            found = self._converts[key](value, zone)
            if self._adapts and type(found) not in _RESULTS:
                # SQLite's driver adapts objects of custom types the same way.
                found = plain(sqlite3.adapt(found, sqlite3.PrepareProtocol, found))
            return found
        except Exception:  # noqa: BLE001 - a type's own code may raise anything
            return UNKNOWN

    def written(self, key: str, value: Any, sent: Any, zone: dt.tzinfo | None = None) -> Any:
        """Return the stored value of a write, using the sent value if that is the stored one.

        Args:
            key: the attribute.
            value: the object's value, or the one given to the statement.
            sent: the value sent to the driver; `UNKNOWN` if it was not seen.
            zone: the session's time zone.
        """
        if sent is not UNKNOWN and key in self._direct:
            return plain(sent)
        return self.value(key, value, zone)


# -------------------------------------------------------------------------------------- by type


def _convert(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    if seam.bind_expression(kind):
        return _unknown
    own = kind.dialect_impl(dialect)
    if isinstance(own, TypeDecorator):
        if _defines(own, "process_bind_param"):
            inner = _convert(own.impl_instance, dialect)
            return _processed(lambda value: own.process_bind_param(value, dialect), inner)
        if isinstance(own, types.PickleType):
            return lambda value, _zone: bytes(own.pickler.dumps(value, own.protocol))
        if _defines(own, "bind_processor"):
            return _sending(own, dialect)
        return _convert(own.impl_instance, dialect)
    if _defines(own, "bind_processor"):
        return _sending(own, dialect)
    for base, make in _BY_TYPE:
        if isinstance(own, base):
            return make(own, dialect)
    return _as_it_is


def _defines(kind: TypeEngine[Any], method: str) -> bool:
    """Return whether the application or an extension defines a type's method."""
    owner = next(cls for cls in type(kind).__mro__ if method in vars(cls))
    return owner.__module__.partition(".")[0] != "sqlalchemy"


def _is_sealed(kind: TypeEngine[Any], dialect: Dialect) -> bool:
    if seam.bind_expression(kind):
        return True
    own: Any = kind.dialect_impl(dialect)
    while isinstance(own, TypeDecorator):
        if _defines(own, "process_bind_param") or _defines(own, "bind_processor"):
            return True
        own = own.impl_instance
    return _defines(own, "bind_processor")


def _is_direct(kind: TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether a sealed type's value is sent exactly as the type's own code converted it."""
    if not _is_sealed(kind, dialect) or seam.bind_expression(kind):
        return False
    own: Any = kind.dialect_impl(dialect)
    while isinstance(own, TypeDecorator):
        own = own.impl_instance
    return own.bind_processor(dialect) is None and not isinstance(own, types.DateTime)


def _unknown(_value: Any, _zone: dt.tzinfo | None) -> Any:
    return UNKNOWN


def _as_it_is(value: Any, _zone: dt.tzinfo | None) -> Any:
    return plain(value)


def _processed(process: Callable[[Any], Any], inner: Convert) -> Convert:
    """Return the converter of a type's own code; it gives `UNKNOWN` for unstable results."""

    def convert(value: Any, zone: dt.tzinfo | None) -> Any:
        one = process(value)
        if one is not value and one != process(value):
            return UNKNOWN
        return None if one is None else inner(one, zone)

    return convert


def _sending(kind: TypeEngine[Any], dialect: Dialect) -> Convert:
    process = kind.bind_processor(dialect)
    return _as_it_is if process is None else _processed(process, _as_it_is)


def _json(_kind: Any, dialect: Dialect) -> Convert:
    dumps = seam.json_serializer(dialect) or json.dumps

    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        if value is types.JSON.NULL:
            return None
        return json.loads(dumps(value))

    return convert


def _enum(kind: Any, _dialect: Dialect) -> Convert:
    stored = kind.bind_processor(DefaultDialect())

    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        try:
            return plain(value if stored is None else stored(value))
        except LookupError:
            return plain(value)

    return convert


def _array(kind: Any, dialect: Dialect) -> Convert:
    inner = _convert(kind.item_type, dialect)

    def convert(value: Any, zone: dt.tzinfo | None) -> Any:
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            return None if value is None else inner(value, zone)
        items = [convert(item, zone) for item in value]
        return UNKNOWN if UNKNOWN in items else items

    return convert


def _uuid(_kind: Any, _dialect: Dialect) -> Convert:
    return lambda value, _zone: str(uuid.UUID(str(value)))


def _number(kind: Any, _dialect: Dialect) -> Convert:
    scale, decimals = kind.scale, kind.asdecimal

    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        value = plain(value)
        if type(value) not in (int, float, Decimal):
            return value
        if not decimals:
            return float(value) if type(value) is Decimal else value
        number = value if type(value) is Decimal else Decimal(str(value))
        if scale is not None and number.is_finite():
            number = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
        return number

    return convert


def _datetime(kind: Any, dialect: Dialect) -> Convert:
    zoned = bool(kind.timezone) and dialect.name not in ("sqlite", "mysql", "mariadb")

    def convert(value: Any, zone: dt.tzinfo | None) -> Any:
        value = plain(value)
        if type(value) is not dt.datetime:
            return value
        if zoned and value.tzinfo is None:
            # The database assumes its session's time zone; a reader of the record would assume UTC.
            return value.isoformat() if zone is None else value.replace(tzinfo=zone)
        if not zoned and value.tzinfo is not None:
            if dialect.name == "postgresql" and zone is not None:
                value = value.astimezone(zone)
            return value.replace(tzinfo=None)
        return value

    return convert


def _date(_kind: Any, _dialect: Dialect) -> Convert:
    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        value = plain(value)
        return value.date() if type(value) is dt.datetime else value

    return convert


def _boolean(_kind: Any, _dialect: Dialect) -> Convert:
    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        value = plain(value)
        return bool(value) if value in (0, 1) else value

    return convert


def _integer(_kind: Any, _dialect: Dialect) -> Convert:
    def convert(value: Any, _zone: dt.tzinfo | None) -> Any:
        value = plain(value)
        return int(value) if type(value) is bool else value

    return convert


_BY_TYPE: Final[tuple[tuple[Any, Callable[[Any, Dialect], Convert]], ...]] = (
    (types.JSON, _json),
    (types.Enum, _enum),
    (types.ARRAY, _array),
    (types.Uuid, _uuid),
    (types.Numeric, _number),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Boolean, _boolean),
    (types.Integer, _integer),
)

# -------------------------------------------------------------------------------------- by value


def plain(value: Any) -> Any:
    """Return a value as a plain type: without subclasses and without numpy and pandas types.

    Mutable values are copied. Values that pandas regards as missing become None.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind.__name__ in _MISSING:
        return None
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, dt.datetime):
        return _parts(value)
    for base in (int, float):
        if isinstance(value, base):
            return base(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int)
    if isinstance(value, Decimal):
        return Decimal(value)
    if isinstance(value, list | tuple) and kind.__name__ != "Row":
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def _parts(value: dt.datetime) -> dt.datetime:
    day, time = value.date(), value.timetz()
    return dt.datetime.combine(dt.date(day.year, day.month, day.day), time)


# ------------------------------------------------------------------------------------ time zones


class _Local(dt.tzinfo):
    """The time zone of the process."""

    def utcoffset(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Return the difference to UTC at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def tzname(self, moment: dt.datetime | None) -> str | None:
        """Return None: the name is unknown."""
        del moment
        return None

    def dst(self, moment: dt.datetime | None) -> dt.timedelta | None:
        """Return None: daylight saving is unknown."""
        del moment
        return None


_ZONES: dict[str, Callable[[Any], dt.tzinfo | None]] = {
    "psycopg": lambda driver: driver.info.timezone,
    "psycopg_async": lambda driver: driver.info.timezone,
    "psycopg2": lambda driver: ZoneInfo(driver.get_parameter_status("TimeZone")),
    "asyncpg": lambda _driver: _Local(),  # it converts values itself before sending them
}


def zone_of(context: DefaultExecutionContext) -> dt.tzinfo | None:
    """Return the time zone that the database assumes for times without one; None if unknown."""
    ask = _ZONES.get(getattr(context.dialect, "driver", ""))
    if ask is None:
        return None
    try:
        return ask(context.root_connection.connection.driver_connection)
    except Exception:  # noqa: BLE001 - a closed connection may fail in any way
        return None
