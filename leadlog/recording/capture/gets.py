"""Two calls of Session that SQLAlchemy tells no event of: `merge`, and a `get` without SQL."""

import functools
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapper, Session

from leadlog.recording.capture import seam
from leadlog.recording.capture.emit import emit
from leadlog.recording.capture.entities import captured
from leadlog.recording.capture.meter import INTERNAL, Meter
from leadlog.recording.capture.operation import Operation, current_operation
from leadlog.recording.capture.rows import CapturedRow
from leadlog.recording.pipeline import is_enabled, report_failure

_originals: dict[str, Callable[..., Any]] = {}


def _merging(original: Callable[..., Any]) -> Callable[..., Any]:
    """The reads inside are the merge's own."""

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
    """Finds out whether the object was there already."""

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
        operation.meter = Meter()  # which counted nothing, since there was nothing to count
        operation.close()
    except Exception as error:  # noqa: BLE001 - the application has its object
        report_failure(error)


def _place(name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    if name not in _originals:
        _originals[name] = getattr(Session, name)
        setattr(Session, name, wrap(_originals[name]))


def _remove(name: str) -> None:
    original = _originals.pop(name, None)
    if original is not None:
        setattr(Session, name, original)


def listen_to_merges() -> None:
    """Follows `merge` and `merge_all` of every Session."""
    for name in seam.merges():
        _place(name, _merging)


def listen_to_gets() -> None:
    """Follows `get` of every Session."""
    _place("get", _getting)


def release_merges() -> None:
    """Follows them no more."""
    for name in seam.merges():
        _remove(name)


def release_gets() -> None:
    """Follows it no more."""
    _remove("get")
