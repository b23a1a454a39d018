"""Flask: WSGI, plus the route's template and the exceptions that Flask turns into status 500."""

from collections.abc import Callable
from typing import Any

import flask
from flask.signals import got_request_exception, request_started

from leadlog.recording.instrument.work import RecordedWork, Recorder
from leadlog.recording.instrument.wsgi import WORK, RecordedWSGI


def install(app: flask.Flask, recorder: Recorder) -> Callable[[], None]:
    """Record a Flask application.

    Args:
        app: the application.
        recorder: begins the records.

    A function that undoes it.
        What undoes it.
    """

    def started(_app: flask.Flask, **_: Any) -> None:
        work, rule = flask.request.environ.get(WORK), flask.request.url_rule
        if isinstance(work, RecordedWork) and rule is not None:
            work.route = rule.rule
            work.name = f"{flask.request.method} {rule.rule}"

    def raised(_app: flask.Flask, exception: BaseException, **_: Any) -> None:
        work = flask.request.environ.get(WORK)
        if isinstance(work, RecordedWork):
            work.fail(exception)

    before = app.wsgi_app
    recorded = RecordedWSGI(before, recorder)
    app.wsgi_app = recorded  # type: ignore[method-assign]
    request_started.connect(started, sender=app, weak=False)
    got_request_exception.connect(raised, sender=app, weak=False)

    def undo() -> None:
        recorder.active = False
        request_started.disconnect(started, sender=app)
        got_request_exception.disconnect(raised, sender=app)
        if app.wsgi_app is recorded:
            app.wsgi_app = before  # type: ignore[method-assign]

    return undo
