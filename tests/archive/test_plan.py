"""The janitor's plan for any files and any policy."""

import datetime as dt
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.layout import CATEGORIES, LogFile
from leadlog.reading.archive import FoundFile, Policy, plan
from leadlog.reading.archive.plan import Hindrance

TODAY = dt.date(2026, 11, 23)
BUSY = Hindrance("a process is writing to it")
_DAY_NS = 86_400_000_000_000


def found(
    age,
    *,
    category="error_logs",
    size=3_000_000,
    packed=None,
    compressed=False,
    writer=0,
    segment=0,
    written=None,
    hindrance=None,
):
    """Return a file of `age` days ago, last modified `written` days ago."""
    date = TODAY - dt.timedelta(days=age)
    name = LogFile(date.isoformat(), writer, segment, "", compressed).name
    path = Path(category) / name
    file = LogFile(date.isoformat(), writer, segment, "", compressed, category, path)
    written = max(age, 1) if written is None else written
    days = (TODAY - dt.date(1970, 1, 1)).days - written
    return FoundFile(file, size, days * _DAY_NS + 5, 0, hindrance, packed)


FILES = st.lists(
    st.builds(
        found,
        st.integers(-2, 40),
        category=st.sampled_from(CATEGORIES),
        size=st.integers(0, 9_000_000),
        packed=st.integers(13, 2_000_000),
        compressed=st.booleans(),
        writer=st.integers(0, 1),
        segment=st.integers(0, 1),
        written=st.none() | st.integers(-1, 3),
        hindrance=st.none() | st.just(BUSY),
    ),
    max_size=40,
    unique_by=lambda one: one.file.path,
)
DAYS = st.dictionaries(st.sampled_from(("*", *CATEGORIES)), st.integers(0, 45), max_size=3)
SIZES = st.dictionaries(
    st.sampled_from(("total", *CATEGORIES)),
    st.just(0) | st.integers(1_000_000, 80_000_000),
    max_size=3,
)
POLICIES = st.builds(Policy, st.integers(0, 12), DAYS, SIZES)


def age_of(one):
    """Return the age of a file's day in days."""
    return (TODAY - dt.date.fromisoformat(one.file.date)).days


def may_be_touched(one):
    """Return whether a file is closed, by the literal rule."""
    last_written = (TODAY - dt.date(1970, 1, 1)).days - one.modified_ns // _DAY_NS
    return age_of(one) >= 1 and last_written >= 1 and one.hindrance is None


def make(files, policy):
    """Return the plan of some files."""
    return plan(files, policy, TODAY.isoformat())


def carried_out(files, planned):
    """Return the files after a plan was carried out."""
    left = {one.file.path: one for one in files}
    for action in planned.actions:
        one = left.pop(action.found.file.path)
        if action.verb == "compress":
            path = one.file.path.with_name(f"{one.file.path.name}.zst")
            file = attrs_file(one.file, path)
            left[path] = attrs.evolve(one, file=file, size_bytes=one.packed_bytes)
    return list(left.values())


def attrs_file(file, path):
    """Return a file's compressed copy."""
    return LogFile(file.date, file.writer, file.segment, file.host, True, file.category, path)


@given(FILES, POLICIES)
def test_only_closed_files_are_touched_once_each(files, policy):
    """Files of today, modified today, or with a hindrance are never touched."""
    touched = [action.found for action in make(files, policy).actions]
    assert all(may_be_touched(one) for one in touched)
    assert len({one.file.path for one in touched}) == len(touched)
    assert set(touched) <= set(files)


@given(FILES, POLICIES)
def test_age_decides_exactly(files, policy):
    """Files older than their category's days are removed; files older than the policy's days that
    are not compressed yet and would shrink are compressed."""
    planned = make(files, policy)
    by_age = {one.found.file.path for one in planned.actions if not one.for_room}
    for_room = {one.found.file.path for one in planned.actions if one.for_room}
    for one in files:
        days = policy.retention_days.get(one.file.category, policy.retention_days.get("*", 0))
        too_old = 0 < days < age_of(one)
        copied = one.file.path.with_name(f"{one.file.path.name}.zst") in {
            other.file.path for other in files
        }
        worth_it = copied or one.packed_bytes < one.size_bytes
        packs = 0 < policy.compress_after_days < age_of(one) and not one.file.compressed
        wanted = may_be_touched(one) and (too_old or (packs and worth_it))
        if wanted:
            assert one.file.path in by_age | for_room
        else:
            assert one.file.path not in by_age
        if wanted and too_old:
            assert one.file.path in by_age


@given(FILES, POLICIES)
def test_limits_in_bytes_are_kept_or_told(files, policy):
    """Afterwards every limit holds, or everything allowed is removed and the excess is reported."""
    planned = make(files, policy)
    left = carried_out(files, planned)
    told = {excess.scope: (excess.limit_bytes, excess.bytes) for excess in planned.excess}
    for scope, limit in policy.retention_bytes.items():
        members = [one for one in left if scope in {"total", one.file.category}]
        used = sum(one.size_bytes for one in members)
        if limit and used > limit:
            assert not any(may_be_touched(one) for one in members)
            assert told.pop(scope) == (limit, used)
    assert told == {}


@given(FILES, st.integers(1_000_000, 80_000_000), st.integers(0, 12))
def test_room_is_made_from_the_oldest_on_and_no_more_than_needed(files, limit, compress_after):
    """Nothing newer is removed before something older, and the last removal was necessary."""
    policy = Policy(compress_after, None, {"total": limit})
    planned = make(files, policy)
    removed = [action.found for action in planned.actions if action.for_room]
    left = carried_out(files, planned)
    kept = [one for one in left if may_be_touched(one)]
    if removed and kept:
        assert max(one.file.date for one in removed) <= min(one.file.date for one in kept)
    if removed:
        before_last = make(files, attrs.evolve(policy, retention_bytes={"total": 10**15}))
        packed = {
            action.found.file.path: action.found.packed_bytes
            for action in before_last.actions
            if action.verb == "compress"
        }
        last = packed.get(removed[-1].file.path, removed[-1].size_bytes)
        assert sum(one.size_bytes for one in left) + last > limit


@given(FILES, POLICIES)
def test_a_second_run_has_nothing_to_do(files, policy):
    """The result of a plan gives an empty plan."""
    left = carried_out(files, make(files, policy))
    assert make(left, policy).actions == ()


@given(FILES, POLICIES, st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(files, policy, chance):
    """The same files give the same plan."""
    shuffled = list(files)
    chance.shuffle(shuffled)
    assert make(shuffled, policy) == make(files, policy)


@given(FILES, POLICIES)
def test_what_is_left_alone_is_told_with_the_reason(files, policy):
    """Every file that the policy applies to and that is not touched is reported with a reason."""
    planned = make(files, policy)
    kept = {one.file.path for one in planned.kept}
    assert kept.isdisjoint(action.found.file.path for action in planned.actions)
    by_path = {one.file.path: one for one in files}
    for one in planned.kept:
        assert not may_be_touched(by_path[one.file.path])
        assert one.hindrance.reason


@pytest.mark.parametrize(
    ("age", "compress_after", "verbs"),
    [(8, 7, ["compress"]), (7, 7, []), (2, 1, ["compress"]), (1, 1, []), (400, 0, [])],
)
def test_older_than_n_days_means_more_than_n_days_back(age, compress_after, verbs):
    """A file of n days ago has events younger than n days, so it waits for another day."""
    planned = make([found(age, packed=1000)], Policy(compress_after))
    assert [action.verb for action in planned.actions] == verbs


@pytest.mark.parametrize(("age", "verbs"), [(31, ["remove"]), (30, []), (29, [])])
def test_no_event_is_removed_before_its_time(age, verbs):
    """A file of n days ago has events younger than n days, so it stays for another day."""
    planned = make([found(age)], Policy(0, 30))
    assert [action.verb for action in planned.actions] == verbs


def test_errors_may_live_longer():
    """A category's own number replaces the one for all others."""
    files = [found(50, category=category) for category in CATEGORIES]
    planned = make(files, Policy(0, {"*": 30, "error_logs": 365}))
    assert [action.verb for action in planned.actions] == ["remove"] * 5
    assert all(action.found.file.category != "error_logs" for action in planned.actions)
    assert planned.actions[0].reason == "older than 30 days"


def test_of_one_day_errors_go_last():
    """If space must be freed within a day, errors are removed last."""
    files = [found(9, category=category) for category in CATEGORIES]
    planned = make(files, Policy(0, None, 4_000_000))
    assert [action.found.file.category for action in planned.actions] == [
        category for category in sorted(CATEGORIES) if category != "error_logs"
    ]


def test_what_fits_once_it_is_compressed_is_not_removed():
    """Limits in bytes are compared with the sizes after compression."""
    files = [found(age, packed=400_000) for age in range(9, 14)]
    planned = make(files, Policy(7, None, 2_000_000))
    assert [action.verb for action in planned.actions] == ["compress"] * 5
    assert planned.excess == ()
    assert make(files, Policy(7, None, 1_999_999)).actions[-1].reason == (
        "all files take more than 1999999 bytes"
    )


def test_a_copy_that_is_there_is_finished():
    """If a compressed copy exists next to its original, only the original is removed."""
    files = [found(9), found(9, compressed=True, size=300)]
    (action,) = make(files, Policy()).actions
    assert (action.verb, action.found.file.compressed) == ("finish", False)


def test_a_limit_that_cannot_be_kept_is_told():
    """Today's files count, although they are not touched."""
    files = [found(0), found(3, hindrance=BUSY), found(2)]
    planned = make(files, Policy(0, None, {"error_logs": 1_000_000}))
    (excess,) = planned.excess
    assert (excess.scope, excess.limit_bytes, excess.bytes) == ("error_logs", 1_000_000, 6_000_000)
    assert [one.hindrance.reason for one in planned.kept] == [BUSY.reason, "its day is not over"]
