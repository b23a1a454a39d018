"""`instrument`: records each request, task and command of an application.

One call instruments an application, its engine and its classes. Each framework has a module,
built on the contract of `leadlog.recording.instrument.work`; a framework is imported only when one
of its applications is instrumented.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

from leadlog.core.keywords import check_keywords
from leadlog.recording.capture.entities import CaptureKeywords
from leadlog.recording.capture.targets import Handle, capture
from leadlog.recording.instrument.asgi import Application as ASGIApplication
from leadlog.recording.instrument.asgi import RecordedASGI
from leadlog.recording.instrument.work import Recorder
from leadlog.recording.instrument.wsgi import Application as WSGIApplication
from leadlog.recording.instrument.wsgi import RecordedWSGI

__all__ = [
    "InstrumentKeywords",
    "Instrumentation",
    "instrument",
    "instrument_asgi",
    "instrument_celery",
    "instrument_click",
    "instrument_dramatiq",
    "instrument_fastapi",
    "instrument_flask",
    "instrument_wsgi",
]

Install = Callable[[Any, Recorder], Callable[[], None]]

_HOMES = {
    "fastapi.applications.FastAPI": "asgi:instrument_stack",
    "starlette.applications.Starlette": "asgi:instrument_stack",
    "flask.app.Flask": "flask:install",
    "celery.app.base.Celery": "celery:install",
    "dramatiq.broker.Broker": "dramatiq:install",
    "typer.main.Typer": "commands:install_typer",
    "click.core.Command": "commands:install",
}
"""Class of an application to the function that instruments it."""


class RecorderKeywords(TypedDict, total=False):
    """The options for the records of requests, tasks and commands."""

    ignore: str | Iterable[str]
    """Paths, task names or commands that are not recorded; `*` matches any text."""
    response_header: str | None
    """Response header in which the caller gets the session id; None, the default, adds none."""


class InstrumentKeywords(RecorderKeywords, CaptureKeywords, total=False):
    """The options of `instrument`: those of the records, and those of `leadlog.capture`."""


class Instrumentation:
    """The result of `instrument`, which removes the instrumentation again.

    Args:
        app: the application.
        undo: removes the recording.
        capture: the capture of its classes; None if no classes were given.
    """

    def __init__(self, app: Any, undo: Callable[[], None], capture: Handle | None) -> None:
        self._app = app
        self._undo: Callable[[], None] | None = undo
        self._capture = capture

    def __repr__(self) -> str:
        state = " (released)" if self._undo is None else ""
        return f"<instrumentation of {type(self._app).__name__}{state}>"

    def release(self) -> None:
        """Stop recording the application and capturing its classes; a second call does nothing."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()
            if self._capture is not None:
                self._capture.release()


def instrument(
    app: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each request, task or command of an application, and its database operations.

    Each is one record in performance_metrics with its route, status, duration and exception. All
    events logged inside it carry its session id, the values bound (`leadlog.bind`) and its W3C
    trace ids; `leadlog session ID` shows them together. An unhandled exception is one error_log,
    with the application's own frames first. The application's behaviour does not change.

    Args:
        app: a FastAPI, Starlette, Flask, Celery, click or Typer application or a Dramatiq broker.
            Other ASGI and WSGI applications are wrapped by `instrument_asgi` and `instrument_wsgi`.
        target: the target of `leadlog.capture`, usually the engine; None captures nothing.
        subjects: the subjects of `leadlog.capture`: mapped classes, or their base.
        options: `ignore` and `response_header`, and all options of `leadlog.capture`.

    Returns:
        The instrumentation; its `release()` removes it again.

    Raises:
        TypeError: `app` is none of these, or an argument is wrong.
        ValueError: an option has a bad value.

    Example:
        >>> import click
        >>> @click.command()
        ... def tidy():
        ...     print("tidied")
        >>> tidied = instrument(tidy)
        >>> tidied.release()
    """
    for kind in type(app).__mro__:
        home = _HOMES.get(f"{kind.__module__}.{kind.__qualname__}")
        if home is not None:
            return _install(home, app, target, subjects, options)
    raise TypeError(
        f"cannot instrument {app!r}; give a FastAPI, Starlette, Flask, Celery, click or Typer "
        "application or a Dramatiq broker, or wrap another one: app = leadlog.instrument_asgi(app) "
        "or app = leadlog.instrument_wsgi(app)"
    )


def instrument_fastapi(
    app: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each request and WebSocket of a FastAPI or Starlette application.

    The operation is the method and the route's template (`PATCH /deals/{deal_id}`), and `ignore`
    takes paths. Use this instead of `instrument` if type checkers and readers should see the
    framework; arguments, result and errors are those of `instrument`.
    """
    return _install("asgi:instrument_stack", app, target, subjects, options)


def instrument_flask(
    app: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each request of a Flask application.

    The operation is the method and the URL rule (`PATCH /deals/<int:deal_id>`), and `ignore` takes
    paths. Arguments, result and errors are those of `instrument`.
    """
    return _install("flask:install", app, target, subjects, options)


def instrument_celery(
    app: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each run of a Celery task, in the trace of its sender.

    The operation is the task's name, and `ignore` takes such names. Each retry is a separate run.
    Arguments, result and errors are those of `instrument`.
    """
    return _install("celery:install", app, target, subjects, options)


def instrument_dramatiq(
    broker: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each run of a Dramatiq actor, in the trace of its sender.

    The first argument is the broker that the actors were declared with. The operation is the
    actor's name, and `ignore` takes such names. Arguments, result and errors are otherwise those of
    `instrument`.
    """
    return _install("dramatiq:install", broker, target, subjects, options)


def instrument_click(
    command: Any, target: Any = None, /, *subjects: Any, **options: Unpack[InstrumentKeywords]
) -> Instrumentation:
    """Record each run of a click or Typer command.

    The first argument is a command or group, or a Typer application whose commands are registered
    already. The operation is the command's path (`crm import`), and `ignore` takes such paths.
    Arguments, result and errors are otherwise those of `instrument`.
    """
    typer = hasattr(command, "registered_commands")
    home = "commands:install_typer" if typer else "commands:install"
    return _install(home, command, target, subjects, options)


def instrument_asgi(app: ASGIApplication, **options: Unpack[RecorderKeywords]) -> RecordedASGI:
    """Wrap any ASGI application: each request and WebSocket is one record.

    Args:
        app: the application.
        options: `ignore` and `response_header`.

    Returns:
        The application to give to the server.
    """
    return RecordedASGI(app, _recorder(options))


def instrument_wsgi(app: WSGIApplication, **options: Unpack[RecorderKeywords]) -> RecordedWSGI:
    """Wrap any WSGI application: each request is one record.

    Args:
        app: the application.
        options: `ignore` and `response_header`.

    Returns:
        The application to give to the server.
    """
    return RecordedWSGI(app, _recorder(options))


def _recorder(options: Any) -> Recorder:
    check_keywords("instrument_asgi", options, RecorderKeywords.__optional_keys__)
    return Recorder(**options)


def _install(
    home: str, app: Any, target: Any, subjects: tuple[Any, ...], options: InstrumentKeywords
) -> Instrumentation:
    check_keywords("instrument", options, InstrumentKeywords.__optional_keys__)
    given: dict[str, Any] = dict(options)
    own = {key: given.pop(key) for key in RecorderKeywords.__optional_keys__ if key in given}
    recorder = Recorder(**own)
    handle = None if target is None else capture(target, *subjects, **given)
    module, _, function = home.partition(":")
    install: Install = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    return Instrumentation(app, install(app, recorder), handle)
