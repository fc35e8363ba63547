"""Records that the token's user comes to see later: their histories come too, and are asked for once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.memory import Memory

from .harness import Record, Run, discover, run, select
from .test_history import asked, assert_is_the_truth, changes, move, open_deal, other_stages, truth


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account of the test's own, which may be asked as fast as it answers."""
    with Sandbox(deals=60, burst=1000) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "deals", "deal_changes")


@pytest.fixture
def concealed(living: Sandbox) -> list[int]:
    """Deals with moves that the token's user does not see, of the oldest and the newest."""
    moved = sorted(truth(living))
    ids = [*moved[:4], *moved[-4:]]
    living.post("/sandbox/hide", {"entity": "deals", "ids": ids})
    return ids


def test_deals_that_are_seen_later_bring_their_history_with_the_next_complete_pass(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    """No time of theirs tells: they moved before they were seen. Deals that were known cost nothing again."""
    first = run(living.url, catalog=catalog).good()
    assert {row["deal_id"] for row in first.records("deal_changes")}.isdisjoint(concealed)
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    living.post("/sandbox/change", {"share": 0.1, "kinds": ["create", "move"], "entities": ["deals"]})
    second = run(living.url, catalog=catalog, state=first.state).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    third = run(living.url, catalog=catalog, state=second.state).good()
    living.post("/sandbox/stats/reset")
    fourth = run(living.url, catalog=catalog, state=third.state, reconcile=True).good()
    assert sorted(asked(living)) == sorted(concealed)
    assert_is_the_truth(living, changes(first, second, third, fourth))
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=fourth.state, reconcile=True).good()
    assert asked(living) == []


def test_deals_that_are_seen_later_are_asked_about_when_the_tokens_last(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/hide")
    state = first.state
    runs = [first]
    for reconcile in (True, False, False):
        living.post("/sandbox/stats/reset")
        runs.append(
            run(living.url, catalog=catalog, state=state, reconcile=reconcile, token_budget=170).good()
        )
        state = runs[-1].state
        assert len(asked(living)) < len(concealed)
    assert_is_the_truth(living, changes(*runs))


@given(st.lists(st.integers(0, 2**62), max_size=50), st.lists(st.integers(0, 60), max_size=50))
def test_what_the_state_keeps_of_parents_is_what_was_listed(wild: list[int], dense: list[int]) -> None:
    for listed in wild, dense:
        state: Record = {}
        Memory(state).note_parents(listed, set(), is_whole=True)
        Memory(state).note_parents([1], {1}, is_whole=False)
        Memory(state).settle(1, is_unread=False)
        Memory(state).note_parents(listed, {1, 2, *listed}, is_whole=True)
        assert Memory(state).unasked == sorted({2} - {*listed})


@pytest.mark.parametrize("wrong", ["", "?", "eJwDAAAAAAE=", 5, [1], {}, None])
def test_a_state_that_somebody_has_spoilt_names_no_deal_as_new(wrong: Any) -> None:
    state = {"parents": wrong}
    Memory(state).note_parents([1, 2], set(), is_whole=False)
    Memory(state).note_parents([1, 2], {1, 2}, is_whole=True)
    assert Memory(state).unasked == []


def test_deals_that_are_seen_as_they_change_bring_what_had_moved_before(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    """They come with the next run, which finds no new move of theirs."""
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    handed_over = concealed[2:6]
    for deal in handed_over:
        living.patch(f"/sandbox/records/deals/{deal}", {"title": "Handed over"})
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert sorted(asked(living)) == handed_over
    third = run(living.url, catalog=catalog, state=second.state, reconcile=True).good()
    assert_is_the_truth(living, changes(first, second, third))


def test_a_run_without_deals_finds_them_too(living: Sandbox, catalog: Record, concealed: list[int]) -> None:
    """The group that reads histories alone, with a state of its own."""
    alone = select(catalog, "deal_changes")
    first = run(living.url, catalog=alone).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=alone, state=first.state, reconcile=True).good()
    assert sorted(asked(living)) == sorted(concealed)
    assert_is_the_truth(living, changes(first, second))


def test_reading_all_again_that_the_tokens_do_not_suffice_for_forgets_none(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    again = {"deals": "all", "deal_changes": "all"}
    second = run(living.url, catalog=catalog, state=first.state, reread=again, token_budget=250).good()
    third = run(living.url, catalog=catalog, state=second.state, reconcile=True).good()
    assert_is_the_truth(living, changes(first, second, third))


def test_a_run_that_is_killed_anywhere_forgets_none(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    for deal in concealed[:2]:
        living.patch(f"/sandbox/records/deals/{deal}", {"title": "Handed over"})
    whole = run(living.url, catalog=catalog, state=first.state, reconcile=True, concurrency=1).good()
    ends = [place for place, message in enumerate(whole.messages) if message["type"] == "STATE"]
    for end in ends[:: max(len(ends) // 5, 1)]:
        killed = Run(whole.messages[: end + 1])
        after = run(living.url, catalog=catalog, state=killed.state).good()
        healed = run(living.url, catalog=catalog, state=after.state, reconcile=True).good()
        assert_is_the_truth(living, changes(first, killed, after, healed))


def test_another_setting_of_the_history_in_between_forgets_none(
    living: Sandbox, catalog: Record, concealed: list[int]
) -> None:
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    state, runs = first.state, [first]
    for history, reconcile in (("none", True), ("all", False), ("stage", False), ("stage", True)):
        settings: Record = {"history": history, "reconcile": reconcile}
        runs.append(run(living.url, catalog=catalog, state=state, token_budget=400, **settings).good())
        state = runs[-1].state
    runs.append(run(living.url, catalog=catalog, state=state, reconcile=True).good())
    moves = {key: row for key, row in changes(*runs).items() if row["field_key"] == "stage_id"}
    assert_is_the_truth(living, moves)


def test_start_date_leaves_histories_out_until_it_is_earlier(living: Sandbox, catalog: Record) -> None:
    """A reconcile brings all deals, but not the histories that somebody did not want to pay for."""
    half = sorted(row["update_time"] for row in living.truth("deals") if row["update_time"])[30]
    first = run(living.url, catalog=catalog, start_date=half).good()
    assert len({row["deal_id"] for row in first.records("deal_changes")}) < len(truth(living))
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=catalog, start_date=half, state=first.state, reconcile=True).good()
    assert asked(living) == []
    third = run(living.url, catalog=catalog, state=second.state, reconcile=True).good()
    assert_is_the_truth(living, changes(first, second, third))


def test_what_moved_while_nobody_saw_it_comes_with_the_next_complete_pass(
    living: Sandbox, catalog: Record
) -> None:
    """Their deals were known before, and other deals move meanwhile."""
    first = run(living.url, catalog=catalog).good()
    deal = open_deal(living, moved=True)
    living.post("/sandbox/hide", {"entity": "deals", "ids": [deal["id"]]})
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    move(living, deal["id"], other_stages(living, deal)[1])
    living.post("/sandbox/change", {"share": 0.2, "kinds": ["move"], "entities": ["deals"]})
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    second = run(living.url, catalog=catalog, state=first.state).good()
    living.delete("/sandbox/hide")
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    third = run(living.url, catalog=catalog, state=second.state).good()
    assert deal["id"] not in {row["deal_id"] for row in third.records("deal_changes")}
    living.post("/sandbox/stats/reset")
    fourth = run(living.url, catalog=catalog, state=third.state, reconcile=True).good()
    assert asked(living) == [deal["id"]]
    assert_is_the_truth(living, changes(first, second, third, fourth))
