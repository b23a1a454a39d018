"""Selection of what is captured: options, watches, and the captured classes and tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypedDict
from weakref import WeakSet, ref

import attrs
import sqlalchemy as sa
from sqlalchemy import Column
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.selectable import TableClause
from sqlalchemy.types import TypeDecorator

from leadlog.core.keywords import check_keywords
from leadlog.recording.capture import seam
from leadlog.recording.capture.sql import names_in
from leadlog.recording.capture.values import StorageTypes

OPERATIONS = ("create", "read", "update", "delete")
"""Operations on a row."""
_LEAD_NAMES = frozenset(("name", "full_name", "first_name", "last_name"))
_LEAD_FIELDS = frozenset(("email", "company", "company_name", "linkedin_url", "phone"))
_KINDS = (*OPERATIONS, "upsert")
_SYSTEM = frozenset(("information_schema", "mysql", "performance_schema", "pg_catalog", "sys"))


def _words(value: Iterable[str]) -> frozenset[str]:
    return frozenset((value,) if isinstance(value, str) else value)


def _operations(value: Iterable[str]) -> frozenset[str]:
    chosen = _words(value)
    for name in sorted(chosen, key=str):
        if name not in OPERATIONS:
            near = get_close_matches(str(name), OPERATIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"operations: {name!r} is none of {', '.join(OPERATIONS)}{hint}")
    return chosen


def _share(_options: object, attribute: Any, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name} = {value!r} is not a share from 0 to 1")


def _positive(_options: object, attribute: Any, value: float | None) -> None:
    if value is not None and value < 0:
        raise ValueError(f"{attribute.name} = {value!r} is below 0")


def _database(_options: object, _attribute: Any, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value or ":" in value):
        raise ValueError(f"database = {value!r} is not a name; give a text without a colon")


class CaptureKeywords(TypedDict, total=False):
    """The options of `leadlog.capture` as keyword arguments; see `CaptureOptions`."""

    operations: str | Iterable[str]
    exclude: str | Iterable[str]
    read_sample: float
    slow_read_ms: float | None
    statement_ms: float | None
    internal: bool
    hits: bool
    transaction_records: int
    database: str | None


@attrs.frozen(kw_only=True)
class CaptureOptions:
    """The selection of operations and values that are recorded for a captured class.

    Attributes:
        operations: operations to record, of create, read, update and delete.
        exclude: columns whose values are never recorded; their names are.
        read_sample: share of reads to record, 0 to 1; the records state it.
        slow_read_ms: duration from which reads are recorded regardless of `read_sample`;
            None samples slow reads like others.
        internal: whether lazy loads, refreshes and the reads of `merge` are recorded.
        hits: whether `Session.get` is recorded if the object was loaded already.
        statement_ms: duration from which records of calls have their SQL, without values, as
            records of failed calls always have; 0 for all calls, None for failed ones only.
        transaction_records: maximum number of changes in one transaction with a record each;
            further changes are counted by class and operation.
        database: a name for the database, needed if a log has rows of several databases with the
            same classes, such as one for each tenant or shard; it distinguishes their rows.
    """

    operations: frozenset[str] = attrs.field(default=frozenset(OPERATIONS), converter=_operations)
    exclude: frozenset[str] = attrs.field(default=frozenset(), converter=_words)
    read_sample: float = attrs.field(default=1.0, validator=_share)
    slow_read_ms: float | None = attrs.field(default=None, validator=_positive)
    statement_ms: float | None = attrs.field(default=100.0, validator=_positive)
    internal: bool = False
    hits: bool = False
    transaction_records: int = attrs.field(default=10_000, validator=_positive)
    database: str | None = attrs.field(default=None, validator=_database)


def options_of(keywords: Mapping[str, Any]) -> CaptureOptions:
    """Return the options given as keyword arguments.

    Args:
        keywords: the options by name.

    Raises:
        TypeError: an option does not exist.
        ValueError: an option has a bad value.
    """
    check_keywords("capture", keywords, CaptureKeywords.__optional_keys__)
    return CaptureOptions(**keywords)


Name = tuple[str | None, str]
"""Schema and name of a table, in lower case."""


def name_of(table: Any) -> Name:
    """Return the identity of a table, equal for all Table objects that represent the same table."""
    schema = getattr(table, "schema", None)
    return (None if schema is None else str(schema).lower()), str(table.name).lower()


class Entity:
    """A captured class, or a captured table without one.

    Args:
        subject: the class's mapper, or the table.
        options: its capture options.

    Attributes:
        name: the name of the class or table.
        mapper: the class's mapper; None for a table.
        options: its capture options.
        tables: the tables that hold its rows.
        primary_key: the columns of the key; all columns if the table has no key.
        keys: attributes of the primary key, in key order.
        names: attribute to the name of its column in the records.
        columns: the same, without excluded columns.
        excluded: the attributes of excluded columns.
        hidden: the names of excluded columns.
        table_of: attribute to the tables that have its column.
        parameters: attribute to those tables, each with the name that the unit of work gives to
            the parameter for its value.
        guessed: attributes that may have a value after an INSERT although none was given:
            defaults, identities, generated columns.
        touched: attributes that any UPDATE of their table changes, with that table.
        versioned: the table with the version column, which every UPDATE changes.
        types: attribute to the type of its column.
        mutable: whether values of a column may be changed in place.
        is_lead: whether its rows look like leads, which are scored.
        events: create, read, update, delete and upsert to the event name of the record.
    """

    def __init__(self, subject: Any, options: CaptureOptions) -> None:
        self.options = options
        mapper: Mapper[Any] | None = subject if isinstance(subject, Mapper) else None
        self.mapper = mapper
        if mapper is not None:
            attributes = _attributes(mapper)
            self.name = mapper.class_.__name__
            self.tables: Sequence[Any] = tuple(mapper.tables)
            self.primary_key: tuple[Any, ...] = tuple(mapper.primary_key)
            version: Any = mapper.version_id_col
        else:
            attributes = [(column.key, [column]) for column in subject.c]
            table: Any = subject
            self.name = str(table.name)
            self.tables = (table,)
            self.primary_key = tuple(table.primary_key) or tuple(table.c)
            version = None
        self.names = _names(attributes, self.tables)
        self.excluded = {
            key for key, name in self.names.items() if not {key, name}.isdisjoint(options.exclude)
        }
        self.columns = {k: name for k, name in self.names.items() if k not in self.excluded}
        self.hidden = frozenset(self.names[key] for key in self.excluded)
        by_column = {column: key for key, columns in attributes for column in columns}
        self.keys = tuple(by_column[column] for column in self.primary_key)
        # An attribute of a joined subclass has several columns: one in each of its tables.
        self.guessed = {k for k, columns in attributes if any(is_guessed(c) for c in columns)}
        self.touched = [
            (key, column.table)
            for key, columns in attributes
            for column in columns
            if (
                isinstance(column, Column)
                and (column.onupdate is not None or column.server_onupdate is not None)
            )
            or column is version
        ]
        self.versioned = () if version is None else (version.table,)
        self.table_of = {key: [column.table for column in columns] for key, columns in attributes}
        self.parameters = {
            key: [(column.table, column.key) for column in columns] for key, columns in attributes
        }
        self.types: dict[str, Any] = {key: columns[0].type for key, columns in attributes}
        self.mutable = any(_is_mutable(kind) for kind in self.types.values())
        names = {name.casefold() for name in self.columns.values()} | set(self.columns)
        self.is_lead = bool(names & _LEAD_NAMES) and bool(names & _LEAD_FIELDS)
        lower = self.name.lower()
        self.events = {kind: f"{lower}.{kind}" for kind in _KINDS}

    @property
    def conceals(self) -> bool:
        """Whether the texts of its errors may contain a value that must not be logged."""
        return bool(self.excluded)

    @property
    def schema(self) -> str | None:
        """The schema given in the definition of its table."""
        return getattr(self.tables[0], "schema", None)

    @property
    def cache(self) -> object:
        """The cache of the statements that the unit of work compiles for the class."""
        return None if self.mapper is None else seam.cache_of(self.mapper)


def _attributes(mapper: Mapper[Any]) -> list[tuple[str, list[Any]]]:
    # Not `column_attrs`: that would configure the mappers before the application does.
    columns: Iterable[Any] = mapper.columns
    found: dict[str, list[Any]] = {}
    for column in columns:
        if isinstance(column, Column):
            attribute: Any = mapper.get_property_by_column(column)
            found[attribute.key] = list(attribute.columns)
    return list(found.items())


def _names(attributes: list[tuple[str, list[Any]]], tables: Sequence[Any]) -> dict[str, str]:
    """Return attribute to column name; prefix a subclass's column whose name its base also has."""
    order = {table: place for place, table in enumerate(tables)}
    taken: dict[str, str] = {}
    for key, columns in sorted(attributes, key=lambda one: order.get(one[1][0].table, 0)):
        name = columns[0].name
        taken.setdefault(name, key)
    return {
        key: name if taken[name := columns[0].name] == key else f"{columns[0].table.name}.{name}"
        for key, columns in attributes
    }


def _is_mutable(kind: Any) -> bool:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return isinstance(kind, sa.JSON | sa.ARRAY | sa.types.NullType)


def is_guessed(column: Any) -> bool:
    """Return whether a column may hold a value after an INSERT although none was given."""
    return bool(
        column.primary_key
        or getattr(column, "default", None) is not None
        or getattr(column, "server_default", None) is not None
        or getattr(column, "computed", None) is not None
        or getattr(column, "identity", None) is not None
    )


@attrs.define(eq=False)
class Watch:
    """One call of `capture`: its subjects, engines and options.

    Attributes:
        classes: mapped classes and their bases; their subclasses are included.
        tables: tables without a mapped class.
        registries: registries, including all of their classes.
        everything: whether every class and table is captured.
        options: the capture options.
        dialects: dialects of the engines; None for every engine.
    """

    classes: tuple[type, ...]
    options: CaptureOptions
    dialects: WeakSet[Dialect] | None
    tables: tuple[Any, ...] = ()
    registries: tuple[Any, ...] = ()
    everything: bool = False
    _bases: frozenset[type] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._bases = frozenset(self.classes)

    def covers(self, dialect: Dialect) -> bool:
        """Return whether the watch covers the engine of a dialect."""
        return self.dialects is None or dialect in self.dialects

    def takes(self, mapper: Mapper[Any]) -> bool:
        """Return whether a class is captured."""
        return (
            self.everything
            or not self._bases.isdisjoint(mapper.class_.__mro__)
            or mapper.registry in self.registries
        )

    def check(self) -> None:
        """Check that every excluded name exists in a captured class or table.

        Raises:
            ValueError: a name in `exclude` is neither an attribute nor a column.
        """
        if not self.options.exclude:
            return
        mappers = [mapper for mapper in seam.mappers() if self.takes(mapper)]
        links = {link for mapper in mappers for link in seam.secondaries(mapper)}
        subjects = *mappers, *self.tables, *(one for one in links if isinstance(one, TableClause))
        known = {
            name
            for entity in (Entity(subject, self.options) for subject in subjects)
            for pair in entity.names.items()
            for name in pair
        }
        for name in sorted(self.options.exclude - known):
            near = get_close_matches(name, sorted(known), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"exclude: no captured class has an attribute or column {name!r}{hint}; it knows "
                f"{', '.join(sorted(known)) or 'no column yet: map the classes before capture'}"
            )


class _Directory:
    """Every mapped table of the process by name, built once for all captures and engines."""

    def __init__(self) -> None:
        self._generation = -1
        self._words: frozenset[str] | None = None
        self._classes: dict[Name, list[ref[Mapper[Any]]]] = {}
        self._links: dict[Name, list[tuple[ref[Any], ref[Mapper[Any]]]]] = {}

    def _now(self, generation: int) -> None:
        if generation == self._generation:
            return
        self._classes, self._links, self._words = {}, {}, None
        self._generation = generation
        for mapper in seam.mappers():
            table: Any = mapper.local_table
            base = mapper.inherits
            single = base is not None and table is base.local_table  # it uses its base's table
            if isinstance(table, TableClause) and not single:
                self._classes.setdefault(name_of(table), []).append(ref(mapper))
            for link in seam.secondaries(mapper):
                if isinstance(link, TableClause):
                    self._links.setdefault(name_of(link), []).append((ref(link), ref(mapper)))

    def classes(self, name: Name, generation: int) -> Iterator[Mapper[Any]]:
        """Return the classes mapped to a table, base classes first."""
        self._now(generation)
        found = [mapper for one in self._classes.get(name, ()) if (mapper := one()) is not None]
        return iter(sorted(found, key=lambda mapper: len(list(mapper.iterate_to_root()))))

    def links(self, name: Name, generation: int) -> Iterator[tuple[Any, Mapper[Any]]]:
        """Yield the association table of that name with each class that uses it."""
        self._now(generation)
        for table, mapper in self._links.get(name, ()):
            one, other = table(), mapper()
            if one is not None and other is not None:
                yield one, other

    def words(self, generation: int) -> frozenset[str]:
        """Return one word of each table's name."""
        self._now(generation)
        if self._words is None:
            self._words = _one_word_of(name for _schema, name in (*self._classes, *self._links))
        return self._words


def _one_word_of(names: Iterable[str]) -> frozenset[str]:
    """Return one word of each name; a quoted name may have several words."""
    return frozenset(max(names_in(name), default=name) for name in names)


class Entities(dict[Mapper[Any], Entity | None]):
    """Mapping of mappers to captured classes on one engine; None for classes not captured.

    Args:
        dialect: the engine's dialect.
        watches: the watches that cover the engine.
        generation: the generation of mappings and captures that this was built for.
    """

    def __init__(self, dialect: Dialect, watches: Iterable[Watch], generation: int) -> None:
        self.generation = generation
        self._dialect = dialect
        self._watches = tuple(watches)
        self._named: dict[tuple[Name, tuple[str, ...]], tuple[Entity, ...]] = {}
        self._stores: dict[Entity, StorageTypes] = {}
        self._words: frozenset[str] | None = None

    def __missing__(self, mapper: Mapper[Any]) -> Entity | None:
        watch = next((one for one in self._watches if one.takes(mapper)), None)
        found = self[mapper] = None if watch is None else Entity(mapper, watch.options)
        return found

    def store(self, entity: Entity) -> StorageTypes:
        """Return the storage types of a class or table on this engine."""
        found = self._stores.get(entity)
        if found is None:
            found = self._stores[entity] = StorageTypes(entity.types, self._dialect)
        return found

    def of(self, table: Any, translate: Mapping[Any, Any] | None = None) -> Entity | None:
        """Return the captured class of a table, or the captured table.

        Args:
            table: any object that represents the table.
            translate: the `schema_translate_map` in force; a table to which a class's table is
                translated belongs to the class.
        """
        if not isinstance(table, TableClause):
            return None
        name = self._plain(name_of(table))
        key = name, tuple(table.c.keys())
        found = self._named.get(key)
        if found is None:
            found = self._named[key] = tuple(self._find(name, table))
        if not found and translate:
            for before, after in translate.items():
                if after is not None and str(after).lower() == name[0]:
                    return self.of(sa.table(table.name, *table.c, schema=before))
        same = (entity for entity in found if table in entity.tables)
        return next(same, None) or next(iter(found), None)

    def _plain(self, name: Name) -> Name:
        """Return the name, without the schema if that is the engine's default."""
        default = getattr(self._dialect, "default_schema_name", None)
        return (None, name[1]) if name[0] == str(default or "").lower() else name

    def _find(self, name: Name, table: Any) -> Iterator[Entity]:
        """Yield the captured classes of a table, or else the table, by order of the captures."""
        mappings = captured.mappings
        default = getattr(self._dialect, "default_schema_name", None)
        names = [name, *([(str(default).lower(), name[1])] if default and not name[0] else ())]
        mappers = [m for one in names for m in _directory.classes(one, mappings)]
        for watch in self._watches:
            for mapper in filter(watch.takes, mappers):
                entity = self[mapper]
                if entity is not None:
                    yield entity
            if mappers:
                continue
            for own in watch.tables:
                if self._plain(name_of(own)) == name:
                    yield Entity(own, watch.options)
            for one in names:
                for link, mapper in _directory.links(one, mappings):
                    if watch.takes(mapper):
                        yield Entity(link, watch.options)
                        break
            system = name[0] in _SYSTEM or name[1].startswith(("sqlite_", "pg_"))
            if watch.everything and not system:
                yield Entity(table, watch.options)

    def may_name(self, words: frozenset[str]) -> bool:
        """Return whether the words may name a captured table; false positives are possible."""
        if self._words is None:
            tables = (table for watch in self._watches for table in watch.tables)
            self._words = _one_word_of(name_of(table)[1] for table in tables)
        return (
            not _directory.words(captured.mappings).isdisjoint(words)
            or not self._words.isdisjoint(words)
            or any(watch.everything for watch in self._watches)
        )


class Captured:
    """All watches in force.

    Attributes:
        watches: in the order of the `capture` calls; the first that covers a class applies to it.
        generation: counter, raised when a watch is added or removed, or a class is mapped.
        mappings: counter, raised when a class is mapped.
    """

    _KEY = "leadlog_entities"

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.generation = 0
        self.mappings = 0

    def on(self, dialect: Dialect) -> Entities:
        """Return the captured entities of an engine."""
        # Kept by the dialect, so that it is freed with the engine.
        found: Entities | None = vars(dialect).get(self._KEY)
        if found is None or found.generation != self.generation:
            watches = [watch for watch in self.watches if watch.covers(dialect)]
            found = vars(dialect)[self._KEY] = Entities(dialect, watches, self.generation)
        return found

    def forget(self) -> None:
        """Invalidate the cached selections: a watch was added or removed."""
        self.generation += 1

    def mapped(self, *_event: object) -> None:
        """Invalidate the cached selections and mappings: a class was mapped."""
        self.generation += 1
        self.mappings += 1


_directory = _Directory()
captured = Captured()
"""The process's captures; SQLAlchemy's events on classes are process-wide as well."""
