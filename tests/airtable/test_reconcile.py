"""The three-way merge as a pure function, field by field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadlog.leads.airtable.reconcile import blank, reconcile

FIELDS = ("full_name", "title", "verified")
VALUES = st.sampled_from([None, "", "a", "b", "c"])
SIDES = st.fixed_dictionaries({"full_name": VALUES, "title": VALUES, "verified": st.booleans()})
BASES = st.one_of(st.just({}), SIDES)


def same(one: object, other: object) -> bool:
    return one == other or (blank(one) and blank(other))


@given(SIDES, SIDES, BASES, BASES, st.booleans())
def test_both_sides_are_equal_afterwards(local, remote, base_local, base_remote, remote_wins):
    """After carrying out the decision, both sides have the same values."""
    merge = reconcile(local, remote, base_local, base_remote, remote_wins=remote_wins)
    here, there = {**local, **merge.pull}, {**remote, **merge.push}
    for field in FIELDS:
        changed = not same(local[field], base_local.get(field)) or not same(
            remote[field], base_remote.get(field)
        )
        if changed:
            assert same(here[field], there[field])


@given(SIDES, SIDES, BASES, BASES, st.booleans())
def test_a_second_look_finds_nothing_to_do(local, remote, base_local, base_remote, remote_wins):
    """With the new agreed values, the same comparison finds no changes."""
    merge = reconcile(local, remote, base_local, base_remote, remote_wins=remote_wins)
    here, there = {**local, **merge.pull}, {**remote, **merge.push}
    done = {*merge.push, *merge.pull, *merge.agreed}
    base_local = {**base_local, **{field: here[field] for field in done}}
    base_remote = {**base_remote, **{field: there[field] for field in done}}
    again = reconcile(here, there, base_local, base_remote, remote_wins=remote_wins)
    assert not again
    assert not again.conflicts


@given(SIDES, SIDES, BASES, BASES, st.booleans())
def test_what_is_overwritten_was_old_or_is_told(
    local, remote, base_local, base_remote, remote_wins
):
    """A changed value is overwritten only with a conflict that contains it."""
    merge = reconcile(local, remote, base_local, base_remote, remote_wins=remote_wins)
    told = {one.field: one for one in merge.conflicts}
    for field in merge.pull:
        if not same(local[field], base_local.get(field)):
            assert told[field].local == local[field]
            assert told[field].winner == "remote"
    for field in merge.push:
        if not same(remote[field], base_remote.get(field)):
            assert told[field].remote == remote[field]
            assert told[field].winner == "local"


@given(SIDES, SIDES, BASES, BASES, st.booleans())
def test_only_changed_fields_move(local, remote, base_local, base_remote, remote_wins):
    """An unchanged field is never sent, and no field moves in both directions."""
    merge = reconcile(local, remote, base_local, base_remote, remote_wins=remote_wins)
    assert not merge.push.keys() & merge.pull.keys()
    for field in merge.push:
        assert not same(local[field], base_local.get(field))
    for field in merge.pull:
        assert not same(remote[field], base_remote.get(field))


@given(SIDES, SIDES, BASES, BASES, st.booleans())
def test_the_sides_can_be_swapped(local, remote, base_local, base_remote, remote_wins):
    """Swapping the sides swaps the decision."""
    one = reconcile(local, remote, base_local, base_remote, remote_wins=remote_wins)
    other = reconcile(remote, local, base_remote, base_local, remote_wins=not remote_wins)
    assert one.push == other.pull
    assert one.pull == other.push


def test_a_blank_name_is_never_taken():
    """If the row lost its name, the lead's name is sent, with a conflict."""
    both = {"full_name": "Ada"}
    merge = reconcile(both, {"full_name": None}, both, both, remote_wins=True, needed={"full_name"})
    assert merge.push == both
    assert [one.reason for one in merge.conflicts] == ["a lead needs it"]


def test_a_field_of_the_store_alone_is_always_the_stores():
    """A change in the table of a store-only field is reverted and reported."""
    both = {"created_at": "2026-11-23"}
    merge = reconcile(
        both, {"created_at": "1999-01-01"}, both, both, remote_wins=True, ours={"created_at"}
    )
    assert merge.push == both
    assert merge.conflicts[0].remote == "1999-01-01"


def test_a_value_that_the_server_normalised_is_left_alone():
    """A difference that existed at the last agreement is not a change."""
    merge = reconcile(
        {"email": "Ada@x.example"},
        {"email": "ada@x.example"},
        {"email": "Ada@x.example"},
        {"email": "ada@x.example"},
        remote_wins=True,
    )
    assert not merge
