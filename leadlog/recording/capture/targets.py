"""`capture`: installs the hooks on engines, sessions and mapped classes.

SQLAlchemy has no event for two calls of Session, `merge` and a `get` without SQL; they are
wrapped here.
"""

import atexit
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Unpack
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, Session, registry
from sqlalchemy.sql.selectable import TableClause

from leadlog.core.native import RLock
from leadlog.recording.capture import flushes, journal, seam
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import (
    CaptureKeywords,
    CaptureOptions,
    Watch,
    captured,
    options_of,
)
from leadlog.recording.capture.flushes import CapturedRow
from leadlog.recording.capture.instrument import Instrument, instrument_of
from leadlog.recording.capture.meter import INTERNAL, Meter
from leadlog.recording.capture.operation import Call, Operation, current_operation
from leadlog.recording.pipeline import is_enabled, report_failure

_originals: dict[str, Callable[..., Any]] = {}
"""The original methods of SQLAlchemy that are replaced, by name."""


def _merging(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a merge whose inner reads count as part of it."""

    @functools.wraps(original)
    def merge(self: Session, *args: Any, **kwargs: Any) -> Any:
        if current_operation() is not None:
            return original(self, *args, **kwargs)
        meter = Meter(INTERNAL)
        with meter:
            try:
                return original(self, *args, **kwargs)
            finally:
                meter.close()

    return merge


def _getting(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `get` that records objects that were loaded already."""

    @functools.wraps(original)
    def get(self: Session, entity: Any, *args: Any, **kwargs: Any) -> Any:
        if current_operation() is not None:
            return original(self, entity, *args, **kwargs)
        meter = Meter()
        with meter:
            try:
                found = original(self, entity, *args, **kwargs)
            finally:
                meter.close()
        if found is not None and meter.queries == 0:
            _note_hit(self, found)
        return found

    return get


def _note_hit(session: Session, found: object) -> None:
    try:
        state = sa.inspect(found, raiseerr=True)
        mapper: Mapper[Any] = state.mapper
        entities = captured.on(session.get_bind(mapper).dialect)
        entity = entities[mapper]
        if entity is None or not entity.options.hits or not is_enabled():
            return
        operation = Operation("read", entity.events["read"], entity.name, emit)
        operation.database = entity.options.database
        row = CapturedRow(entity, state, entities.store(entity))
        operation.lead_id = row.key()
        operation.identify(row.values(), whole=False)
        operation.records_affected = 1
        operation.meter = Meter()  # with zero counts, since nothing was sent
        operation.close()
    except Exception as error:  # noqa: BLE001 - the application has its object
        report_failure(error)


def _place(owner: type, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
    if name not in _originals:
        _originals[name] = getattr(owner, name)
        setattr(owner, name, wrap(_originals[name]))


def _remove(owner: type, name: str) -> None:
    original = _originals.pop(name, None)
    if original is not None:
        setattr(owner, name, original)


atexit.register(journal.settle_open)  # after the pipeline's exit function, so it is called before


_MAPPED = ("after_mapper_constructed", "after_configured")
"""SQLAlchemy's events after which there may be new mapped classes."""


class _Hooks:
    """The installed hooks: one set per captured engine, shared by all watches."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._dialects: WeakSet[Dialect] = WeakSet()
        self._follows = False

    def add(self, watch: Watch, engines: Iterable[Engine]) -> None:
        """Activate a watch."""
        with self._lock:
            if not captured.watches:
                seam.attribute_warnings()
                _place(*seam.FLUSH, flushes.watched)
                for name in seam.merges():
                    _place(Session, name, _merging)
                self._follow_mappings()
            captured.watches.append(watch)
            captured.forget()
            if watch.dialects is None and not self._any():
                event.listen(Engine, "engine_connect", self._connected)
            if watch.options.hits:
                _place(Session, "get", _getting)
            for engine in engines:
                self.instrument(engine)

    def _follow_mappings(self) -> None:
        """Track mappings from now on, even while nothing is captured.

        The tables of all classes are collected once for the process, rather than for each capture.
        """
        if not self._follows:
            self._follows = True
            for name in _MAPPED:
                event.listen(Mapper, name, captured.mapped)

    def _any(self) -> bool:
        return any(other.dialects is None for other in captured.watches[:-1])

    def instrument(self, engine: Engine) -> None:
        """Install the hooks on an engine; do nothing if they are installed."""
        with self._lock:
            found = instrument_of(engine.dialect)
            if found is None:
                Instrument(engine)
            else:
                found.resume()
            self._dialects.add(engine.dialect)

    def extend(self, watch: Watch, engine: Engine) -> None:
        """Add an engine to a watch."""
        with self._lock:
            if watch.dialects is not None and engine.dialect not in watch.dialects:
                watch.dialects.add(engine.dialect)
                captured.forget()
                self.instrument(engine)

    def _connected(self, connection: Connection) -> None:
        try:
            if instrument_of(connection.dialect) is None:
                self.instrument(connection.engine)
        except Exception as error:  # noqa: BLE001 - the application wants its connection
            report_failure(error)

    def remove(self, watch: Watch) -> None:
        """Deactivate a watch, and remove the hooks that no other watch needs."""
        with self._lock:
            if watch not in captured.watches:
                return
            captured.watches.remove(watch)
            captured.forget()
            for dialect in list(self._dialects):
                instrument = instrument_of(dialect)
                needed = any(other.covers(dialect) for other in captured.watches)
                if instrument is not None and not needed:
                    instrument.release()
                    self._dialects.discard(dialect)
            if watch.dialects is None and not any(
                other.dialects is None for other in captured.watches
            ):
                event.remove(Engine, "engine_connect", self._connected)
            if watch.options.hits and not any(other.options.hits for other in captured.watches):
                _remove(Session, "get")
            if not captured.watches:
                _remove(*seam.FLUSH)
                for name in seam.merges():
                    _remove(Session, name)


_hooks = _Hooks()


class Handle:
    """The result of `capture`: removes the hooks again, and opens calls.

    Args:
        watch: the watch that it controls.
        release: arguments of `event.remove` for an additional listener.
    """

    def __init__(self, watch: Watch, release: tuple[Any, ...] = ()) -> None:
        self._watch = watch
        self._session_hook = release
        self._released = False

    def __repr__(self) -> str:
        watch = self._watch
        subjects = [one.__name__ for one in watch.classes] + [str(one) for one in watch.tables]
        names = "everything" if watch.everything else ", ".join(subjects) or "a registry"
        return f"<capture of {names}{' (released)' if self._released else ''}>"

    def release(self) -> None:
        """Remove every hook that no other capture needs; a second call does nothing."""
        if not self._released:
            self._released = True
            if self._session_hook:
                event.remove(*self._session_hook)
            _hooks.remove(self._watch)

    def begin(self, operation_type: str, event_name: str, *, bulk: bool) -> Call | None:
        """Return a new call on the captured engine; None if nothing is captured now."""
        if self._released or not is_enabled():
            return None
        watch = self._watch
        dialect = next(iter(watch.dialects or ()), None)
        if dialect is None:
            return None
        entity = watch.classes[0].__name__
        return Call(operation_type, event_name, entity, emit, dialect, bulk=bulk)


class Capture:
    """`leadlog.capture`; `capture.everything` captures a whole engine."""

    def __call__(self, target: Any, *subjects: Any, **options: Unpack[CaptureKeywords]) -> Handle:
        """Log every create, read, update and delete, with its true outcome.

        Writes one record per object that a Session flushes and per row of an association table
        flushed with it, and one per statement (ORM, Core or SQL text) that reads or writes the
        tables. A table is identified by schema and name, whichever Table object represents it. Raw
        driver cursors, triggers, cascades inside the database and other programs are not seen.

        Args:
            target: an Engine or AsyncEngine; a sessionmaker, async_sessionmaker or Session class,
                which captures the engines that its sessions use; or a mapped class or a declarative
                base, which is then captured on every engine, including those created later.
            subjects: mapped classes, with their subclasses and the association tables of their
                relationships; a declarative base or a registry, for all of its classes, including
                those mapped later; Tables.
            options: `operations`, `exclude`, `read_sample`, `slow_read_ms`, `internal`, `hits`,
                `statement_ms`, `transaction_records`, `database`, see
                `leadlog.recording.capture.entities.CaptureOptions`.

        Returns:
            The handle, whose `release()` removes the hooks again. Operations covered by several
            captures are recorded once, with the options of the first.

        Raises:
            TypeError: `target` or one of `subjects` is none of these; or there are no subjects; or
                an option does not exist.
            ValueError: an option has a bad value, or names a column that does not exist.

        Example:
            >>> import sqlalchemy as sa
            >>> from leadlog.leads.store.models import Lead
            >>> engine = sa.create_engine("sqlite://")
            >>> handle = capture(engine, Lead, exclude=["notes"], read_sample=0.1)
            >>> handle.release()
        """
        chosen = options_of(options)
        if _is_class(target):
            return _watch((target, *subjects), chosen, None)
        if not subjects:
            raise TypeError(
                "nothing to capture; name mapped classes, their base or tables behind the target, "
                "or call capture.everything(target)"
            )
        return _on(target, subjects, chosen)

    def everything(self, target: Any, **options: Unpack[CaptureKeywords]) -> Handle:
        """Log the operations on every table, mapped or not.

        The database's system tables are left out.

        Args:
            target: as for `capture`, except for mapped classes and bases.
            options: as for `capture`.
        """
        return _on(target, (), options_of(options), everything=True)


capture = Capture()


def attach(engine: Engine, *classes: type) -> Handle:
    """Capture classes on an engine for a store whose methods are calls of their own."""
    return _watch(classes, CaptureOptions(), (engine,))


def _on(
    target: Any, subjects: tuple[Any, ...], options: CaptureOptions, *, everything: bool = False
) -> Handle:
    maker = _session_class(target)
    if maker is None:
        return _watch(subjects, options, _engines_of(target), everything=everything)
    handle = _watch(subjects, options, (), everything=everything)
    watch = handle._watch

    def began(_session: Session, _transaction: object, connection: Connection) -> None:
        _hooks.extend(watch, connection.engine)

    event.listen(maker, "after_begin", began)
    handle._session_hook = (maker, "after_begin", began)
    return handle


def _watch(
    subjects: tuple[Any, ...],
    options: CaptureOptions,
    engines: Iterable[Engine] | None,
    *,
    everything: bool = False,
) -> Handle:
    classes, tables, registries = [], [], []
    for subject in subjects:
        if _is_class(subject):
            classes.append(subject)
            if isinstance(own := vars(subject).get("registry"), registry):
                registries.append(own)  # its imperative mappings have another base
        elif isinstance(subject, TableClause):
            tables.append(subject)
        elif isinstance(subject, registry):
            registries.append(subject)
        else:
            raise TypeError(
                f"{subject!r} is not a mapped class, a declarative base, a registry or a Table"
            )
    engines = None if engines is None else tuple(engines)
    dialects = None if engines is None else WeakSet(engine.dialect for engine in engines)
    watch = Watch(
        tuple(classes), options, dialects, tuple(tables), tuple(registries), everything=everything
    )
    watch.check()
    _hooks.add(watch, engines or ())
    return Handle(watch)


def _is_class(subject: object) -> bool:
    """Return whether an object is a mapped class or a base of mapped classes."""
    if not inspect.isclass(subject):
        return False
    try:
        return isinstance(sa.inspect(subject), Mapper)
    except NoInspectionAvailable:
        return isinstance(getattr(subject, "registry", None), registry)


def _binds_of(target: Any) -> tuple[Any, ...]:
    """Return the engines that a sessionmaker or an async_sessionmaker is bound to."""
    options = getattr(target, "kw", None)
    if not isinstance(options, dict):
        return ()
    binds = options.get("binds") or {}
    return tuple(bind for bind in (options.get("bind"), *binds.values()) if bind is not None)


def _session_class(target: Any) -> type[Session] | None:
    """Return the class whose sessions show which engines they use; None if the target does."""
    if isinstance(target, type):
        if issubclass(target, Session):
            return target
        own: Any = getattr(target, "sync_session_class", None)  # of an AsyncSession class
        return own if isinstance(own, type) and issubclass(own, Session) else None
    maker = getattr(target, "session_factory", target)  # of a scoped_session
    if isinstance(getattr(maker, "kw", None), dict) and not _binds_of(maker):
        kind = getattr(maker, "class_", None)
        synchronous = maker.kw.get("sync_session_class")
        return _session_class(synchronous or kind)
    return None


def _engines_of(target: Any) -> list[Engine]:
    maker = getattr(target, "session_factory", target)
    engines = []
    for bind in _binds_of(maker) or (target,):
        engine = getattr(bind, "sync_engine", bind)
        engine = getattr(engine, "engine", engine)  # of a Connection
        if not isinstance(engine, Engine):
            raise TypeError(
                f"cannot capture {target!r}; give an Engine, an AsyncEngine, a sessionmaker, a "
                "Session class, or a mapped class"
            )
        engines.append(engine)
    return engines
