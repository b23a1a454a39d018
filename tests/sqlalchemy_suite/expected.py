"""The tests of SQLAlchemy whose outcome capture may change, each with the reason.

A test that is not here and differs fails `make sqlalchemy-tests`, and so does one that is here
and does not differ.
"""

_NOBODY = "asserts that nothing listens to an engine before it listens itself"
_EVENTS = "test/engine/test_execute.py::EngineEventsTest"

EXPECTED: dict[str, str] = {
    f"{_EVENTS}::test_add_event_after_connect": _NOBODY,
    f"{_EVENTS}::test_connection_clslevel_events[not_engine_has_events]": _NOBODY,
    f"{_EVENTS}::test_force_conn_events_false": _NOBODY,
    "test/engine/test_execute.py::ExecuteTest::test_generative_engine_event_dispatch_hasevents": (
        _NOBODY
    ),
}

PROVOKED = {
    "before_flush() missing 3 required positional arguments": (
        "test/orm/test_events.py calls all listeners itself, without their arguments"
    ),
}
"""Failures inside leadlog that a test means to bring about: a part of their text, and the reason.

A hook that raises reports it as a failure, and the application, here the test, sees nothing.
"""
