"""Failure: exceptions as facts, stack traces, error codes and fingerprints."""

import asyncio
import errno
import json
import re
import sqlite3
import sys
import urllib.error
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog_processors.failure import (
    Failure,
    describe,
    error_code,
    fingerprint,
    fingerprint_text,
    stack_trace,
)
from leadlog_processors.fingerprint import own_place
from leadlog_processors.stacktrace import TRACE_LIMIT

FACTS = ("error_message", "error_code", "exception_class", "stack_trace", "fingerprint")


def raised(function: Any, *arguments: Any) -> BaseException:
    """Return the exception that a call raises, with its traceback."""
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001 - any exception is the result
        return error
    raise AssertionError("nothing was raised")


def fail(message: str = "no name", kind: type[BaseException] = ValueError) -> NoReturn:
    secret_local = "hunter2"
    raise kind(message) if secret_local else AssertionError


def fail_by_cause() -> None:
    try:
        fail("root")
    except ValueError as error:
        raise KeyError("on top") from error


class DriverError(Exception):
    """An exception with attributes, like those of database and HTTP libraries."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__("driver")
        self.__dict__.update(attributes)


class MuteError(Exception):
    """An exception whose own code raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


# ------------------------------------------------------------------------------------------ facts


def test_an_exception_becomes_its_facts() -> None:
    """These are message, code, class, stack trace and fingerprint, and nothing else."""
    facts = describe(raised(fail))
    assert tuple(facts) == FACTS
    assert facts["error_message"] == "no name"
    assert facts["exception_class"] == "ValueError"
    assert facts["error_code"] is None
    assert re.fullmatch("[0-9a-f]{16}", facts["fingerprint"] or "")


def test_a_class_is_named_with_its_module() -> None:
    """A built-in class is named without."""
    assert describe(DriverError())["exception_class"] == f"{__name__}.DriverError"
    assert describe(sqlite3.OperationalError())["exception_class"] == "sqlite3.OperationalError"


def test_an_exception_without_a_text_has_no_message() -> None:
    """It is null, not an empty text; its stack trace ends with the class alone."""
    facts = describe(raised(fail, "", AssertionError))
    assert facts["error_message"] is None
    assert str(facts["stack_trace"]).splitlines()[-1] == "AssertionError"


def test_a_long_message_is_cut() -> None:
    """The SQL of a bulk insert may have a megabyte."""
    message = describe(ValueError("x" * 10**6))["error_message"]
    assert message is not None
    assert len(message) == 2000
    assert message.endswith("x…")


def test_an_exception_whose_own_code_raises_is_described_all_the_same() -> None:
    """Neither its text nor its attributes can break the log."""
    facts = describe(raised(fail, "x", MuteError))
    assert facts["error_message"] == "<unprintable MuteError>"
    assert facts["error_code"] is None
    assert str(facts["stack_trace"]).endswith("MuteError: <unprintable MuteError>")


def sqlite_error() -> BaseException:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE t (a UNIQUE)")
        connection.execute("INSERT INTO t VALUES (1)")
        return raised(connection.execute, "INSERT INTO t VALUES (1)")
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DriverError(sqlstate="23505"), "23505"),
        (DriverError(pgcode="40001"), "40001"),
        (DriverError(orig=DriverError(sqlstate="23505")), "23505"),
        (sqlite_error(), "SQLITE_CONSTRAINT_UNIQUE"),
        (DriverError(orig=sqlite_error()), "SQLITE_CONSTRAINT_UNIQUE"),
        (DriverError(response=SimpleNamespace(status_code=422)), "422"),
        (DriverError(response=SimpleNamespace(status=503)), "503"),
        (DriverError(status_code=429), "429"),
        (DriverError(status=504, headers={}), "504"),
        (urllib.error.HTTPError("http://x", 404, "no", Message(), None), "404"),
        (FileNotFoundError(errno.ENOENT, "x"), "ENOENT"),
        (OSError(errno.ENOSPC, "x"), "ENOSPC"),
        (OSError("without"), None),
        (OSError(["no number"], "x"), None),
        (DriverError(headers={}, code="x"), None),
        (ValueError("x"), None),
        (DriverError(sqlstate=None, code="gkpj"), None),
        (DriverError(code=200), None),
        (DriverError(status_code=7), None),
        (DriverError(response=None, sqlstate=""), None),
        (SystemExit(200), None),
    ],
)
def test_the_code_is_the_one_by_which_others_know_the_error(
    error: BaseException, code: str | None
) -> None:
    """A SQLSTATE, SQLite's name, an HTTP status or the name of an errno; a text or null."""
    assert error_code(error) == code
    if isinstance(error, urllib.error.HTTPError):
        error.close()


def test_the_code_of_an_explicit_cause_counts() -> None:
    """A wrapper has the code of its explicit cause, not of its implicit context."""
    error = ValueError("store failed")
    error.__cause__ = DriverError(sqlstate="23505")
    assert error_code(error) == "23505"
    error = ValueError("store failed")
    error.__context__ = DriverError(sqlstate="23505")
    assert error_code(error) is None


# ------------------------------------------------------------------------------------ stack trace


def test_a_stack_trace_reads_as_pythons_own() -> None:
    """Files, lines, functions and source."""
    trace = stack_trace(raised(fail_by_cause))
    lines = trace.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert re.fullmatch(rf'  File "{re.escape(__file__)}", line \d+, in fail_by_cause', lines[1])
    assert lines[2] == '    fail("root")'
    assert "ValueError: root" in lines
    assert "The above exception was the direct cause of the following exception:" in lines
    assert lines[-1] == "KeyError: 'on top'"


def test_a_stack_trace_shows_no_values_of_variables() -> None:
    """They may be personal data."""
    trace = stack_trace(raised(fail))
    assert "hunter2" not in trace
    assert "raise kind(message) if secret_local" in trace


def test_an_exception_raised_while_handling_another_is_shown_behind_it() -> None:
    """Unless the context was suppressed."""

    def handle(suppress: bool) -> None:
        try:
            fail("first")
        except ValueError:
            if suppress:
                raise KeyError("second") from None
            raise KeyError("second")  # noqa: B904 - the implicit context is what is tested

    assert "During handling of the above exception" in stack_trace(raised(handle, False))
    assert "first" not in stack_trace(raised(handle, True))


def test_an_exception_that_was_never_raised_has_a_last_line_only() -> None:
    """There is no traceback to show."""
    assert stack_trace(ValueError("x")) == "ValueError: x"


def test_notes_and_grouped_exceptions_are_shown() -> None:
    """Notes and grouped exceptions are part of the error."""
    error = ExceptionGroup("many", [ValueError("one\ntwo"), KeyError("two")] * 6)
    error.add_note("while testing")
    error.__notes__.append(5)  # type: ignore[arg-type]  # applications may append anything
    lines = stack_trace(error).splitlines()
    assert lines[:3] == [
        "ExceptionGroup: many (12 sub-exceptions)",
        "while testing",
        "  1. ValueError: one",
    ]
    assert lines[-1] == "  … 2 exceptions left out …"
    assert stack_trace(ExceptionGroup("one", [KeyError("x")])).splitlines()[-1] == (
        "  1. KeyError: 'x'"
    )


def test_an_endless_recursion_is_shown_from_both_ends() -> None:
    """A thousand frames become twenty."""

    def recur(depth: int) -> int:
        return recur(depth + 1)

    trace = stack_trace(raised(recur, 0))
    assert len(trace) < 8000
    assert re.search(r"^  … \d{2,} frames left out …$", trace, re.MULTILINE)
    assert trace.count("in recur") <= 20
    assert trace.splitlines()[-1].startswith("RecursionError: maximum recursion depth")


def test_a_cycle_of_causes_ends() -> None:
    """An exception may also be its own cause."""
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    assert stack_trace(one).count("one") == 1
    assert error_code(one) is None
    assert fingerprint(one) == fingerprint(one)
    itself = ValueError("itself")
    itself.__context__ = itself
    assert stack_trace(itself) == "ValueError: itself"


def test_a_long_chain_of_causes_is_limited_and_ends_with_what_was_raised() -> None:
    """The exceptions closest to the one raised are shown."""
    error: BaseException = ValueError("number 0")
    for number in range(1, 50):
        above = ValueError(f"number {number}")
        above.__cause__ = error
        error = above
    lines = stack_trace(error).splitlines()
    assert lines[0] == "ValueError: number 45"
    assert lines[-1] == "ValueError: number 49"


def test_a_huge_trace_loses_whole_lines_from_its_middle() -> None:
    """No line is cut, so no secret is split into parts that masking misses."""
    words = [f"line {number} password=x" for number in range(500)]
    error: BaseException = ValueError("\n".join(words))
    for _ in range(4):
        above = ValueError("\n".join(words))
        above.__cause__ = error
        error = above
    trace = stack_trace(error)
    assert len(trace) <= 8000
    assert re.search(r"^… \d+ lines left out …$", trace, re.MULTILINE)
    links = ("ValueError: line 0 password=x", "The above exception was the direct cause of ")
    for line in filter(None, trace.splitlines()):
        assert line in words or line.startswith(links) or line.endswith("…")


def test_source_that_is_gone_is_left_out() -> None:
    """Code compiled from a text has no file."""
    code = compile("def f():\n    raise ValueError('x')", "<generated>", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    assert '  File "<generated>", line 2, in f\nValueError: x' in stack_trace(raised(names["f"]))


def test_source_whose_loader_raises_is_left_out() -> None:
    """A custom importer may do anything."""

    class Loader:
        def get_source(self, name: str) -> str:
            raise RuntimeError(name)

    names: dict[str, Any] = {"__name__": "odd", "__loader__": Loader()}
    exec(compile("def f():\n    raise ValueError('x')", "odd.py", "exec"), names)
    assert '  File "odd.py", line 2, in f\nValueError: x' in stack_trace(raised(names["f"]))


# ------------------------------------------------------------------------------------ fingerprint

LIBRARY = str(Path(sys.prefix) / "lib" / "site-packages" / "library.py")
CODE = """
def work(message, kind=ValueError):
    raise kind(message)

def other(message, kind=ValueError):
    raise kind(message)

def through(message):
    return [work(m) for m in [message]]

def in_comprehension(message):
    return [raise_(m) for m in [message]]

def raise_(m):
    raise ValueError(m)

def call(function, *arguments):
    return function(*arguments)
"""


def module(file: str = "/app/leads.py", name: str = "leads", shift: int = 0) -> SimpleNamespace:
    """Return the code above as if it were in a file, some lines further down."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile("\n" * shift + CODE, file, "exec"), names)
    return SimpleNamespace(**{key: value for key, value in names.items() if key[0] != "_"})


def test_a_compiled_package_is_not_the_applications_own_code() -> None:
    """Cython's frames name files relative to the build folder, as SQLAlchemy's do."""
    compiled = module("lib/sqlalchemy/engine/_result_cy.py", "sqlalchemy.engine._result_cy")
    compiled.work.__globals__["__file__"] = str(Path(LIBRARY).with_suffix(".so"))
    place = own_place(raised(module().call, compiled.work, "no row"))
    assert place is not None
    assert place.startswith("/app/leads.py:")
    assert place.endswith(" in call")


def print_of(function: Any, *arguments: Any) -> str:
    return fingerprint(raised(function, *arguments))


def test_the_same_bug_has_the_same_fingerprint_wherever_its_code_lies() -> None:
    """Other lines or another folder do not matter."""
    here, moved = module(), module("/srv/releases/17/leads.py", shift=40)
    assert print_of(here.work, "no name") == print_of(moved.work, "no name")


def test_the_same_bug_has_the_same_fingerprint_whoever_called() -> None:
    """Only the innermost function matters."""
    leads = module()
    assert print_of(leads.work, "x") == print_of(leads.call, leads.work, "x")
    assert print_of(leads.work, "x") == print_of(leads.through, "x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("lead 17 is gone", "lead 942 is gone"),
        ("took 1.5 s", "took 1e-05 s"),
        ("at 0x7f00b028e660", "at 0x10"),
        ("no column 'name'", "no column 'it''s'"),
        ("no column 'name'", 'no column "x"'),
        ("ana@acme.com exists", "bob.b+x@mail.acme.de exists"),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
        ("record rec0a1b2c3d4e5f6g is gone", "record 2FCBFE58CC70308 is gone"),
        ("since 2026-11-23T10:00:00.000000Z", "since 2025-01-01"),
        ("rows [1, 2, 3]", "rows [17]"),
        ("-5 left", "5 left"),
        ("failed\n[SQL: INSERT INTO a]", "failed\n[SQL: INSERT INTO b]"),
        ("deadbeefcafe is gone", "12345678 is gone"),
    ],
)
def test_what_changes_from_one_occurrence_to_the_next_does_not_count(one: str, other: str) -> None:
    """Numbers, ids, addresses, dates, quoted texts, and all lines but the first are ignored."""
    leads = module()
    assert print_of(leads.work, one) == print_of(leads.work, other)
    assert fingerprint_text("sync_error", one) == fingerprint_text("sync_error", other)


def test_another_bug_has_another_fingerprint() -> None:
    """A different class, function, module or wording makes a different fingerprint."""
    leads = module()
    prints = {
        print_of(leads.work, "no name"),
        print_of(leads.work, "no e-mail"),
        print_of(leads.other, "no name"),
        print_of(leads.work, "no name", TypeError),
        print_of(module(name="other").work, "no name"),
        fingerprint_text("validation_error", "no name"),
        fingerprint_text("sync_error", "no name"),
        fingerprint_text("sync_error", "no e-mail"),
        fingerprint_text(None, None),
    }
    assert len(prints) == 9


def test_the_applications_own_function_counts_not_that_of_a_library() -> None:
    """Two places that misuse a library are two bugs; a library's internals change."""
    library, leads = module(LIBRARY, "library"), module()
    assert print_of(leads.call, library.work, "x") == print_of(leads.call, library.other, "x")
    assert print_of(leads.call, library.work, "x") != print_of(library.work, "x")


def test_a_comprehension_is_part_of_its_function() -> None:
    """Python 3.12 has no separate frame for it."""
    leads = module()
    names: dict[str, Any] = {"__name__": "leads"}
    exec(compile("def f(g):\n    return [g(1) for _ in [1]]", "/app/leads.py", "exec"), names)
    plain: dict[str, Any] = {"__name__": "leads"}
    exec(compile("def f(g):\n    return g(1)", "/app/leads.py", "exec"), plain)
    library = module(LIBRARY, "library")
    assert print_of(names["f"], library.work) == print_of(plain["f"], library.work)
    assert print_of(leads.in_comprehension, "x") == print_of(leads.raise_, "x")


def test_a_script_has_the_same_fingerprint_however_it_was_started() -> None:
    """__main__ is replaced by its file name."""
    assert print_of(module(name="__main__").work, "x") == print_of(module().work, "x")


def test_an_explicit_cause_counts() -> None:
    """The same wrapper around two causes is two bugs; its numbers are still ignored."""
    prints = []
    for cause in (OSError("a 1"), OSError("a 2"), OSError("b 1"), None):
        error = ValueError("store failed")
        error.__cause__ = cause
        prints.append(fingerprint(error))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_an_endless_recursion_has_one_fingerprint_wherever_it_ended() -> None:
    """The recurring functions count, not the one at which the stack was full."""

    def odd(depth: int, extra: int) -> int:
        return even(depth + 1, extra) if not extra else once(depth, extra)

    def even(depth: int, extra: int) -> int:
        return odd(depth + 1, extra)

    def once(depth: int, extra: int) -> int:
        return odd(depth + 1, extra - 1)

    assert print_of(odd, 0, 0) == print_of(odd, 0, 1) == print_of(even, 0, 0) == print_of(odd, 0, 2)


def test_a_recursion_error_without_a_recursion_is_an_error_like_any_other() -> None:
    """Parsers raise it for input that is nested too deeply."""
    leads = module()
    assert print_of(leads.work, "deep", RecursionError) != print_of(
        leads.other, "deep", RecursionError
    )


word = st.sampled_from(["lead", "was", "not", "found", "timed", "out", "in", "column"])
changing = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.uuids().map(str),
    st.integers(0, 2**64).map(hex),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.from_regex(r"[a-z0-9][a-z0-9.+_-]*@(acme\.com|x\.org)", fullmatch=True),
    st.text(st.characters(categories=["L", "N", "Zs"]), max_size=10).map(lambda text: f"'{text}'"),
    st.text(st.characters(categories=["L"]), min_size=1).map(lambda text: f'"{text}"'),
)


@given(st.lists(word, min_size=1), st.lists(word), changing, changing)
def test_whatever_changes_between_words_does_not_count(
    before: list[str], after: list[str], one: str, other: str
) -> None:
    """True for any value of the documented kinds."""
    texts = (" ".join([*before, value, *after]) for value in (one, other))
    assert len({fingerprint_text("sync_error", text) for text in texts}) == 1


@given(st.none() | st.text(), st.none() | st.text())
def test_any_type_and_message_have_a_fingerprint(
    error_type: str | None, message: str | None
) -> None:
    """Sixteen hex digits."""
    assert re.fullmatch("[0-9a-f]{16}", fingerprint_text(error_type, message))


# -------------------------------------------------------------------------------------- processor


def process(event: dict[str, Any]) -> dict[str, Any]:
    return dict(Failure()(None, "error", event))


def error_log(**details: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("error_type", "error_id", *FACTS, "severity"))
    return {"log_type": "error_log", "error_details": {**empty, **details}}


def test_an_error_log_gets_the_facts_of_its_exception() -> None:
    """They fill the keys that are null, in the order of the contract."""
    event = error_log(error_type="validation_error", error_message="the caller's own words")
    order = list(event["error_details"])
    found = process({**event, "exc_info": raised(fail)})
    assert "exc_info" not in found
    details = found["error_details"]
    assert list(details) == order
    assert details["error_message"] == "the caller's own words"
    assert details["exception_class"] == "ValueError"
    assert details["error_type"] == "validation_error"
    assert details["stack_trace"].endswith("ValueError: no name")


def test_an_error_log_without_an_exception_gets_a_fingerprint_of_type_and_message() -> None:
    """Such errors can then be counted as well."""
    found = process(error_log(error_type="sync_error", error_message="lead 5 timed out"))
    assert found["error_details"]["fingerprint"] == fingerprint_text(
        "sync_error", "lead 6 timed out"
    )
    assert found["error_details"]["stack_trace"] is None


def test_a_fingerprint_of_the_caller_stays() -> None:
    """The caller knows better which errors are the same bug."""
    event = error_log(error_type="x", fingerprint="mine")
    assert process(event)["error_details"]["fingerprint"] == "mine"
    event = error_log(error_type="x", fingerprint="mine")
    assert (
        process({**event, "exc_info": fail_by_cause and ValueError()})["error_details"][
            "fingerprint"
        ]
        == "mine"
    )


def test_an_error_log_that_says_nothing_gets_nothing() -> None:
    """A fingerprint of nothing would make all such errors one."""
    assert process(error_log()) == error_log()
    assert process({"log_type": "error_log"}) == {"log_type": "error_log"}


@pytest.mark.parametrize("log_type", ["database_operation", None])
def test_another_event_gets_error_details_with_an_exception_only(log_type: str | None) -> None:
    """True for any log type, and in any chain."""
    event = {"event": "x"} if log_type is None else {"log_type": log_type}
    assert process(dict(event)) == event
    for nothing in (None, False, (None, None, None)):
        assert process({**event, "exc_info": nothing}) == event
    assert tuple(process({**event, "exc_info": ValueError("x")})["error_details"]) == FACTS


def test_exc_info_is_what_structlog_and_logging_mean_by_it() -> None:
    """True for the exception being handled, the exception, or a tuple with it."""
    try:
        fail("handled")
    except ValueError as error:
        caught = error
        for exc_info in (True, 1, error, sys.exc_info()):
            found = process({"exc_info": exc_info})["error_details"]
            assert found["error_message"] == "handled"
            assert "in fail" in found["stack_trace"]
    assert process({"exc_info": True}) == {}
    bare = ValueError("without its traceback")
    found = process({"exc_info": (ValueError, bare, caught.__traceback__)})["error_details"]
    assert "in fail" in found["stack_trace"]


def test_the_callers_section_is_not_written_to() -> None:
    """The caller may use it again."""
    section = {"error_type": "sync_error", "fingerprint": None}
    process({"log_type": "error_log", "error_details": section})
    process({"log_type": "error_log", "error_details": section, "exc_info": ValueError()})
    assert section == {"error_type": "sync_error", "fingerprint": None}


@pytest.mark.parametrize(
    "event",
    [
        {"log_type": "error_log", "error_details": "text"},
        {"log_type": "error_log", "error_details": {"error_type": 5, "error_message": ["x"]}},
        {"log_type": "error_log", "error_details": {"error_message": MuteError()}},
        {"log_type": ["x"], "exc_info": MuteError()},
        {"exc_info": "yes"},
        {"exc_info": ()},
        {"exc_info": (1, 2, 3)},
        {"exc_info": KeyboardInterrupt()},
    ],
)
def test_no_event_makes_it_raise(event: dict[str, Any]) -> None:
    """True whatever is stored under the contract's names."""
    assert "exc_info" not in process(event)


# ---------------------------------------------------------------------------------------- groups


async def _charge_card() -> None:
    raise LookupError("no such card")


async def _send_mail() -> None:
    try:
        raise KeyError("address")
    except KeyError as error:
        raise ValueError("no address") from error


def _group_of(*tasks: Any) -> BaseExceptionGroup[Any]:
    async def check_out() -> None:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task())

    with pytest.raises(BaseExceptionGroup) as caught:
        asyncio.run(check_out())
    return caught.value


def test_a_group_shows_where_each_of_its_exceptions_was_raised() -> None:
    """A TaskGroup's own traceback ends in asyncio; its tasks are what failed."""
    trace = stack_trace(_group_of(_charge_card, _send_mail))
    first, second = trace.index("1. LookupError"), trace.index("2. ValueError")
    assert first < trace.index("in _charge_card") < second < trace.index("in _send_mail")
    assert "KeyError: 'address'" in trace[second:]


def test_a_group_is_shown_as_a_cause_and_inside_a_group() -> None:
    """Each level shows its frames."""
    inner = _group_of(_charge_card)
    try:
        raise RuntimeError("checkout failed") from ExceptionGroup("outer", [inner])
    except RuntimeError as error:
        trace = stack_trace(error)
    assert "in _charge_card" in trace
    assert trace.splitlines()[-1] == "RuntimeError: checkout failed"


def test_a_group_of_many_and_a_deep_one_have_an_end() -> None:
    """The text is bounded for any number and depth of exceptions."""
    raised = [_group_of(_charge_card).exceptions[0] for _ in range(30)]
    group: Exception = ExceptionGroup("wide", raised)
    assert "… 20 exceptions left out …" in stack_trace(group)
    for number in range(50):
        group = ExceptionGroup(f"level {number}", [group])
    assert len(stack_trace(group)) <= TRACE_LIMIT
    assert len(fingerprint(group)) == 16


def test_groups_of_different_failures_have_different_fingerprints() -> None:
    """All TaskGroups have the same message; the bug is inside."""
    cards = {fingerprint(_group_of(_charge_card)) for _ in range(2)}
    mails = {fingerprint(_group_of(_send_mail))}
    assert len(cards) == 1
    assert cards != mails


def test_callers_that_still_run_come_first_and_name_the_place() -> None:
    """An exception described before it reaches its caller has no frame of the caller yet."""

    def ask() -> tuple[str, str]:
        frame = sys._getframe()
        error = json.JSONDecodeError("bad", "", 0)
        return stack_trace(error, callers=[frame]), fingerprint(error, callers=[frame])

    trace, place = ask()
    assert "in ask" in trace.splitlines()[1]
    assert place != fingerprint(json.JSONDecodeError("bad", "", 0))
