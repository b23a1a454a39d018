"""What is captured: watches, and the captured classes as the hooks need them."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import attrs
import sqlalchemy as sa
from sqlalchemy import Column, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.selectable import FromClause

from leadlog.recording.capture.options import CaptureOptions

_LEAD_NAMES = frozenset(("name", "full_name", "first_name", "last_name"))
_LEAD_FIELDS = frozenset(("email", "company", "company_name", "linkedin_url", "phone"))


class Entity:
    """A captured class.

    Attributes:
        name: the class's name.
        mapper: its mapper.
        options: what of it is captured.
        names: attribute to column name.
        columns: the same, without the excluded ones.
        excluded: the attributes of the excluded ones.
        table_of: attribute to the tables that its column lies in.
        keys: attributes of the primary key, in its order.
        guessed: attributes that may hold a value after an INSERT although none was given:
            defaults, identities, generated columns.
        touched: attributes that an UPDATE of their table changes by itself, with that table.
        versioned: the table of the version, which changes with every other.
        labels: column name to what the database stores for each member of its enumeration.
        is_lead: whether its rows look like leads, which are scored.
        events: create, read, update, delete and upsert to the record's dotted name.
    """

    def __init__(self, mapper: Mapper[Any], options: CaptureOptions) -> None:
        self.name = mapper.class_.__name__
        self.mapper = mapper
        self.options = options
        # Not `column_attrs`: that would configure the mappers before their application does.
        columns: Iterable[Any] = mapper.columns
        attributes: list[Any] = [
            mapper.get_property_by_column(column)
            for column in columns
            if isinstance(column, Column)
        ]
        self.names: dict[str, str] = {a.key: a.columns[0].name for a in attributes}
        self.columns = {
            key: name for key, name in self.names.items() if name not in options.exclude
        }
        self.excluded = self.names.keys() - self.columns.keys()
        self.keys = tuple(
            mapper.get_property_by_column(column).key for column in mapper.primary_key
        )
        # An attribute of a joined subclass has several columns: one in each of its tables.
        self.guessed = {
            a.key for a in attributes if any(is_guessed(column) for column in a.columns)
        }
        version: Any = mapper.version_id_col
        self.touched = [
            (a.key, column.table)
            for a in attributes
            for column in a.columns
            if (
                isinstance(column, Column)
                and (column.onupdate is not None or column.server_onupdate is not None)
            )
            or column is version
        ]
        self.versioned = () if version is None else (version.table,)
        self.table_of = {a.key: [column.table for column in a.columns] for a in attributes}
        self.labels: dict[str, dict[Hashable, str]] = {
            self.columns[a.key]: labels
            for a in attributes
            if a.key in self.columns and (labels := _labels(a.columns[0].type))
        }
        names = {name.casefold() for name in self.columns.values()} | set(self.columns)
        self.is_lead = bool(names & _LEAD_NAMES) and bool(names & _LEAD_FIELDS)
        lower = self.name.lower()
        self.events = {
            kind: f"{lower}.{kind}" for kind in ("create", "read", "update", "delete", "upsert")
        }
        self.cache = mapper.base_mapper._compiled_cache


def _labels(column_type: Any) -> dict[Hashable, str]:
    """Member to what is stored for it, which by SQLAlchemy's default is its name, not its value."""
    members = getattr(column_type, "enum_class", None)
    if members is None or not isinstance(column_type, sa.Enum):
        return {}
    enumeration: Any = column_type
    stored = enumeration.bind_processor(DefaultDialect())
    if stored is None:
        return {}
    # Not the class itself: SQLAlchemy takes any class that has `__members__`.
    return {member: stored(member) for member in members.__members__.values()}


def is_guessed(column: Any) -> bool:
    """Whether a column may hold a value after an INSERT although none was given."""
    return bool(
        column.primary_key
        or column.default is not None
        or column.server_default is not None
        or getattr(column, "computed", None) is not None
        or getattr(column, "identity", None) is not None
    )


@attrs.define(eq=False)
class Watch:
    """One call of `capture`: which classes, on which engines, and how.

    Attributes:
        classes: mapped classes, their subclasses included.
        options: what of them is captured.
        dialects: of the engines; None for every engine.
    """

    classes: tuple[type, ...]
    options: CaptureOptions
    dialects: WeakSet[Dialect] | None

    def covers(self, dialect: Dialect) -> bool:
        """Whether that engine is among them."""
        return self.dialects is None or dialect in self.dialects


class Entities(dict[Mapper[Any], Entity | None]):
    """Mapper to captured class on one engine; None for classes that are not captured.

    Attributes:
        tables: table to captured class; None for other tables.
    """

    def __init__(self, watches: Iterable[Watch]) -> None:
        self._watches = tuple(watches)
        self.tables = _Tables(self)

    def __hash__(self) -> int:  # type: ignore[override]  # by identity: it is found, not compared
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __missing__(self, mapper: Mapper[Any]) -> Entity | None:
        found = None
        for watch in self._watches:
            if issubclass(mapper.class_, watch.classes):
                found = Entity(mapper, watch.options)
                break
        self[mapper] = found
        return found

    def mappers(self) -> Iterator[Mapper[Any]]:
        """The mappers of the classes that were asked for, as long as they are mapped."""
        for watch in self._watches:
            for captured_class in watch.classes:
                mapper: Any = sa.inspect(captured_class, raiseerr=False)
                if isinstance(mapper, Mapper):
                    yield mapper


class _Tables(dict[FromClause, Entity | None]):
    """Table to the captured class that it belongs to: of several, the base class."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def __missing__(self, table: FromClause) -> Entity | None:
        found = None
        for mapper in self._entities.mappers():
            for candidate in mapper.base_mapper.self_and_descendants:
                if candidate.local_table is table and not _single(candidate):
                    found = self._entities[candidate]
        self[table] = found
        return found

    def named(self) -> dict[str, Entity]:
        """Name to captured class, of every table that belongs to one."""
        found = {}
        for mapper in self._entities.mappers():
            for table in mapper.tables:
                entity = self[table]
                if entity is not None and isinstance(table, Table):
                    found[table.name.lower()] = entity
        return found


def _single(mapper: Mapper[Any]) -> bool:
    """Whether a class shares the table of the class that it inherits from."""
    return mapper.inherits is not None and mapper.local_table is mapper.inherits.local_table


class Captured:
    """All watches in force."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self._on: WeakKeyDictionary[Dialect, Entities] = WeakKeyDictionary()

    def on(self, dialect: Dialect) -> Entities:
        """What is captured on an engine."""
        found = self._on.get(dialect)
        if found is None:
            found = Entities(watch for watch in self.watches if watch.covers(dialect))
            self._on[dialect] = found
        return found

    def forget(self) -> None:
        """Finds everything anew: a watch came or went, or classes were mapped."""
        self._on = WeakKeyDictionary()


captured = Captured()
"""SQLAlchemy's events on classes are the process's, and so is what listens to them."""
