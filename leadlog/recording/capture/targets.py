"""`capture`: attaches the hooks to whatever a caller has his database in."""

import atexit
import inspect
from collections.abc import Iterable
from threading import RLock
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, Session

from leadlog.recording.capture import flushes, gets, journal
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import Watch, captured
from leadlog.recording.capture.instrument import Instrument, instrument_of
from leadlog.recording.capture.operation import Call
from leadlog.recording.capture.options import CaptureOptions
from leadlog.recording.pipeline import is_enabled, report_failure

__all__ = ["Handle", "attach", "capture"]

atexit.register(journal.settle_open)  # after the pipeline's exit function, so it is called before


class _Hooks:
    """Which hooks are in place: one set for each captured engine, however many watches."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._dialects: WeakSet[Dialect] = WeakSet()

    def add(self, watch: Watch, engines: Iterable[Engine]) -> None:
        """Puts a watch in force."""
        with self._lock:
            if not captured.watches:
                flushes.listen()
                gets.listen_to_merges()
                event.listen(Mapper, "after_configured", captured.forget)
            captured.watches.append(watch)
            captured.forget()
            if watch.dialects is None and not self._any():
                event.listen(Engine, "engine_connect", self._connected)
            if watch.options.hits:
                gets.listen_to_gets()
            for engine in engines:
                self.instrument(engine)

    def _any(self) -> bool:
        return any(other.dialects is None for other in captured.watches[:-1])

    def instrument(self, engine: Engine) -> None:
        """Places the hooks on an engine; a second time does nothing."""
        with self._lock:
            found = instrument_of(engine.dialect)
            if found is None:
                Instrument(engine)
            else:
                found.resume()
            self._dialects.add(engine.dialect)

    def extend(self, watch: Watch, engine: Engine) -> None:
        """Adds an engine to a watch."""
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
        """Ends a watch, and removes the hooks that none needs any more."""
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
                gets.release_gets()
            if not captured.watches:
                flushes.release()
                gets.release_merges()
                event.remove(Mapper, "after_configured", captured.forget)


_hooks = _Hooks()


class Handle:
    """What `capture` gives: removes the hooks again, and opens calls.

    Args:
        watch: what it captures.
        release: further things to undo.
    """

    def __init__(self, watch: Watch, release: tuple[Any, ...] = ()) -> None:
        self._watch = watch
        self._session_hook = release
        self._released = False

    def __repr__(self) -> str:
        names = ", ".join(captured.__name__ for captured in self._watch.classes)
        return f"<capture of {names}{' (released)' if self._released else ''}>"

    def release(self) -> None:
        """Removes every hook that no other capture needs; a second call does nothing."""
        if not self._released:
            self._released = True
            if self._session_hook:
                event.remove(*self._session_hook)
            _hooks.remove(self._watch)

    def begin(self, operation_type: str, event_name: str, *, bulk: bool) -> Call | None:
        """A new call on the one captured engine, or None where nothing is captured now."""
        if self._released or not is_enabled():
            return None
        watch = self._watch
        dialect = next(iter(watch.dialects or ()), None)
        if dialect is None:
            return None
        entity = watch.classes[0].__name__
        return Call(operation_type, event_name, entity, emit, dialect, bulk=bulk)


def capture(target: Any, *classes: type, **options: Any) -> Handle:
    """Logs every create, read, update and delete on mapped classes, with its true outcome.

    One record per object that a Session flushes, and one per statement, ORM or Core or SQL
    text, that reads or writes the classes' tables. Raw driver cursors, triggers, cascades
    inside the database and other programs are not seen.

    Args:
        target: an Engine or AsyncEngine; a sessionmaker, async_sessionmaker or Session class,
            which stands for the engines that its sessions use; or a mapped class, which is
            then captured on every engine, also on those created later.
        classes: mapped classes, with their subclasses.
        options: `operations`, `exclude`, `read_sample`, `slow_read_ms`, `internal`, `hits`,
            `transaction_records`, see `leadlog.recording.capture.options.CaptureOptions`.

    Returns:
        The handle, whose `release()` removes the hooks again. What several captures cover is
        recorded once, as the first of them says.

    Raises:
        TypeError: `target` is none of these; or one of `classes` is not mapped, or there is
            none; or an option does not exist.
        ValueError: an option has a bad value.

    Example:
        >>> import sqlalchemy as sa
        >>> from leadlog.leads.store.models import Lead
        >>> engine = sa.create_engine("sqlite://")
        >>> handle = capture(engine, Lead, exclude=["notes"], read_sample=0.1)
        >>> handle.release()
    """
    chosen = CaptureOptions(**options)
    if _is_mapped(target):
        return _watch((target, *classes), chosen, None)
    if not classes:
        raise TypeError("no class to capture; name the mapped classes behind the target")
    maker = _session_class(target)
    if maker is not None:
        handle = _watch(classes, chosen, ())
        watch = handle._watch

        def began(_session: Session, _transaction: object, connection: Connection) -> None:
            _hooks.extend(watch, connection.engine)

        event.listen(maker, "after_begin", began)
        handle._session_hook = (maker, "after_begin", began)
        return handle
    return _watch(classes, chosen, _engines_of(target))


def attach(engine: Engine, *classes: type) -> Handle:
    """As `capture`, for a store whose methods are calls of their own."""
    return _watch(classes, CaptureOptions(), (engine,))


def _watch(
    classes: tuple[type, ...], options: CaptureOptions, engines: Iterable[Engine] | None
) -> Handle:
    for mapped in classes:
        if not _is_mapped(mapped):
            raise TypeError(f"{mapped!r} is no mapped class; give a class that SQLAlchemy maps")
    engines = None if engines is None else tuple(engines)
    dialects = None if engines is None else WeakSet(engine.dialect for engine in engines)
    watch = Watch(classes, options, dialects)
    _hooks.add(watch, engines or ())
    return Handle(watch)


def _is_mapped(mapped: object) -> bool:
    try:
        return inspect.isclass(mapped) and isinstance(sa.inspect(mapped), Mapper)
    except NoInspectionAvailable:
        return False


def _binds_of(target: Any) -> tuple[Any, ...]:
    """What a sessionmaker or an async_sessionmaker is bound to."""
    options = getattr(target, "kw", None)
    if not isinstance(options, dict):
        return ()
    binds = options.get("binds") or {}
    return tuple(bind for bind in (options.get("bind"), *binds.values()) if bind is not None)


def _session_class(target: Any) -> type[Session] | None:
    """The class whose sessions tell which engines they use; None where the target tells."""
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
