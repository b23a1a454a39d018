"""The tests of other projects whose outcome capture may change, each with the reason.

A run fails if a test differs that is not listed here, or if a listed test does not differ.
"""

import sqlite3

_NOBODY = "asserts that nothing listens to an engine before it listens itself"
_SQLITE = "sqlite+pysqlite_" + "_".join(map(str, sqlite3.sqlite_version_info))
_KEPT = "asserts that a class is collected; a captured one is kept until its handle is released"
_MIXIN = "test/orm/declarative/test_mixin.py"
_EVENTS = "test/engine/test_execute.py::EngineEventsTest"

SQLALCHEMY = {
    f"{_EVENTS}::test_add_event_after_connect": _NOBODY,
    f"{_EVENTS}::test_connection_clslevel_events[not_engine_has_events]": _NOBODY,
    f"{_EVENTS}::test_force_conn_events_false": _NOBODY,
    "test/engine/test_execute.py::ExecuteTest::test_generative_engine_event_dispatch_hasevents": (
        _NOBODY
    ),
    f"{_MIXIN}::DeclarativeMixinTest::test_declare_hooks_dont_reference_class": _KEPT,
    f"{_MIXIN}::DeclaredAttrTest::test_singleton_gc": _KEPT,
    f"test/orm/test_query.py::YieldTest_{_SQLITE}::test_yield_per_and_execution_options": (
        "asserts the class of a result's cursor strategy, which capture wraps to count rows"
    ),
}

PROVOKED = {
    "before_flush() missing 3 required positional arguments": (
        "test/orm/test_events.py calls all listeners itself, without their arguments"
    ),
}
"""Failures inside leadlog that a test provokes deliberately: a part of their text, and the reason.

If a hook raises, leadlog reports a failure, and the application, here the test, is not affected.
"""
