"""`capture`: attaches the hooks to whatever a caller has his database in."""

import inspect
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper

from leadlog.capturing.hooks import Handle, attach

__all__ = ["capture"]


def capture(target: Any, *classes: type) -> Handle:
    """Logs what is written to mapped classes, each object as one record with its outcome.

    Captured is what a Session flushes: objects created, updated and deleted, with old and new
    values and what the database did with the transaction. Reads, `session.bulk_…` methods,
    INSERT, UPDATE and DELETE statements, and other programs are not.

    Args:
        target: an Engine or AsyncEngine; or a sessionmaker or async_sessionmaker with a bind.
        classes: mapped classes, with their subclasses.

    Returns:
        The handle, whose `release()` removes the hooks again.

    Raises:
        TypeError: `target` is none of these, or has no engine; or one of `classes` is not
            mapped, or there is none.
        ValueError: the engine is captured already.

    Example:
        >>> import sqlalchemy as sa
        >>> from leadlog.store.models import Lead
        >>> engine = sa.create_engine("sqlite://")
        >>> handle = capture(engine, Lead)
        >>> handle.release()
    """
    if not classes:
        raise TypeError("no class to capture; name the mapped classes behind the engine")
    for mapped in classes:
        if not _is_mapped(mapped):
            raise TypeError(f"{mapped!r} is no mapped class; give a class that SQLAlchemy maps")
    return attach(_engine_of(target), *classes)


def _is_mapped(mapped: object) -> bool:
    try:
        return inspect.isclass(mapped) and isinstance(sa.inspect(mapped), Mapper)
    except NoInspectionAvailable:
        return False


def _engine_of(target: Any) -> Engine:
    options = getattr(target, "kw", None)  # of a sessionmaker and of an async_sessionmaker
    bind = options.get("bind") if isinstance(options, dict) else target
    engine = getattr(bind, "sync_engine", bind)
    if not isinstance(engine, Engine):
        raise TypeError(
            f"cannot capture {target!r}; give an Engine, an AsyncEngine, or a sessionmaker "
            "with a bind"
        )
    return engine
