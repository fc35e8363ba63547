"""The setting `reread` reads a table or some of its records again; bookmarks and columns stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from .harness import Record, Run, discover, replay, run, select

BIG = ("deals", "persons", "organizations", "products", "activities", "leads", "notes")


def read_ids(done: Run, stream: str) -> list[Any]:
    return [row["id"] for row in done.records(stream)]


def bookmarks(state: Record) -> dict[str, list[Any]]:
    """Return bookmarks and columns of custom fields by stream."""
    found = {}
    for stream in BIG:
        mark = state["bookmarks"][stream]
        parts = mark.get("partitions", [mark])
        found[stream] = [mark.get("custom_fields"), *(part.get("replication_key_value") for part in parts)]
    return found


@pytest.fixture
def spoilt(living: Sandbox) -> tuple[Sandbox, Run]:
    """A loaded account in which rows changed without a new update time, so that no bookmark finds them."""
    first = run(living.url).good()
    living.post("/sandbox/clock", {"advance_seconds": 3600})
    return living, run(living.url, state=first.state).good()


@pytest.mark.parametrize("stream", BIG)
def test_records_are_read_again_by_id_and_no_others(spoilt: tuple[Sandbox, Run], stream: str) -> None:
    sandbox, before = spoilt
    rows = [row for row in sandbox.truth(stream) if not row.get("is_deleted")]
    ids = [rows[0]["id"], rows[-1]["id"]]
    done = run(sandbox.url, state=before.state, reread={stream: ids}).good()
    assert set(read_ids(done, stream)) >= set(ids)
    plain = run(sandbox.url, state=before.state).good()
    assert set(read_ids(done, stream)) == set(ids) | set(read_ids(plain, stream))
    assert bookmarks(done.state) == bookmarks(plain.state)
    whole = replay(run(sandbox.url).good().messages)[stream]
    for row in done.records(stream):
        if row["id"] in ids:
            assert row == whole[row["id"],]


def test_archived_records_are_found_too(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    for stream in ("deals", "leads"):
        archived = next(row["id"] for row in sandbox.truth(stream) if row["is_archived"])
        done = run(sandbox.url, state=before.state, reread={stream: [archived]}).good()
        (row,) = (row for row in done.records(stream) if row["id"] == archived)
        assert row["is_archived"] is True


def test_more_ids_than_fit_into_a_request_are_read(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    ids = [row["id"] for row in sandbox.truth("activities") if not row.get("is_deleted")]
    assert len(ids) > 200
    done = run(sandbox.url, state=before.state, reread={"activities": ids}).good()
    assert set(ids) <= set(read_ids(done, "activities"))


def test_child_rows_are_requested_by_the_id_of_their_parent(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    moved = sandbox.truth("deal_changes")[0]["deal_id"]
    sold = sandbox.truth("deal_products")[0]["deal_id"]
    sandbox.post("/sandbox/stats/reset")
    done = run(
        sandbox.url, state=before.state, reread={"deal_changes": [moved], "deal_products": [sold]}
    ).good()
    assert {row["deal_id"] for row in done.records("deal_changes")} == {moved}
    assert {row["deal_id"] for row in done.records("deal_products")} == {sold}
    assert len(sandbox.requests("/changelog")) == 1
    sandbox.post("/sandbox/stats/reset")
    run(sandbox.url, state=done.state).good()
    assert sandbox.requests("/changelog") == [], "no other deal is asked about"


@pytest.mark.parametrize("stream", ["persons", "leads", "deal_products", "users", "fields"])
def test_a_whole_table_is_read_again(spoilt: tuple[Sandbox, Run], stream: str) -> None:
    sandbox, before = spoilt
    young: dict[str, Any] = {"reference_max_age": 24, "state": before.state}
    done = run(sandbox.url, reread={stream: "all"}, **young).good()
    plain = run(sandbox.url, **young).good()
    everything = replay(run(sandbox.url).good().messages)
    assert replay(done.messages)[stream] == everything[stream]
    assert done.of("ACTIVATE_VERSION") == []
    for other in BIG:
        if other != stream:
            assert read_ids(done, other) == read_ids(plain, other)
    (said,) = (row for row in done.records("run_statements") if row["stream"] == stream)
    assert (said["method"], said["undone_reason"]) == ("whole", None)
    again = run(sandbox.url, state=done.state, reference_max_age=24).good()
    assert len(again.records(stream)) < len(everything[stream]) or stream == "fields"


def test_a_list_without_an_id_filter_is_read_whole(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    user = sandbox.truth("users")[0]["id"]
    done = run(sandbox.url, state=before.state, reference_max_age=24, reread={"users": [user]}).good()
    assert set(read_ids(done, "users")) == {row["id"] for row in sandbox.truth("users")}


def test_columns_of_renamed_fields_keep_their_names(living: Sandbox) -> None:
    """A full refresh would give them new names."""
    first = run(living.url).good()
    field = next(row for row in living.rows("/api/v2/dealFields") if row["is_custom_field"])
    living.patch(f"/sandbox/fields/deal/{field['field_code']}", {"field_name": "Something else"})
    done = run(living.url, state=first.state, reread={"deals": "all"}).good()
    assert done.columns("deals").keys() == first.columns("deals").keys()
    assert len({row["id"] for row in done.records("deals")}) == len(living.truth("deals"))


def test_a_whole_table_beyond_the_budget_keeps_its_bookmark(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    done = run(sandbox.url, state=before.state, reread={"deal_changes": "all"}, token_budget=400).good()
    kept, there = (one.state["bookmarks"]["deal_changes"]["partitions"][0] for one in (done, before))
    assert kept["replication_key_value"] == there["replication_key_value"]
    after = run(sandbox.url, state=done.state).good()
    (said,) = (row for row in after.records("run_statements") if row["stream"] == "deal_changes")
    assert (said["undone_reason"], said["method"]) == (None, "changes")


def test_deleted_records_are_reported_by_id(
    spoilt: tuple[Sandbox, Run], caplog: pytest.LogCaptureFixture
) -> None:
    sandbox, before = spoilt
    chosen = {
        "persons": [10**9, sandbox.truth("persons")[0]["id"]],
        "notes": [10**9],
        "deal_changes": [10**9],
    }
    run(sandbox.url, state=before.state, reread=chosen).good()
    warnings = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    for stream in ("persons", "notes"):
        assert any(
            f"{stream}: Pipedrive does not show {10**9}: they were deleted" in line for line in warnings
        )


def test_a_record_that_cannot_be_read_is_reported(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    sandbox.post("/sandbox/faults", {"kind": "status", "status": 400, "path": r"ids="})
    done = run(sandbox.url, state=before.state, reread={"persons": [1]}, source_checks="none")
    assert "these are missing: persons: GET /api/v2/persons answered 400" in str(done.error)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"deal": [1]}, "Setting reread: there is no stream deal; did you mean deals?"),
        ({"xyz": [1]}, "Setting reread: there is no stream xyz."),
        ({"deals": "some"}, 'Setting reread: deals is neither "all" nor a list of ids such as [7].'),
        ({"deals": {"id": 1}}, 'Setting reread: deals is neither "all" nor a list of ids such as [7].'),
        (["deals"], "Setting reread"),
    ],
    ids=str,
)
def test_a_wrong_reread_setting_is_reported(shared: Sandbox, setting: Any, sentence: str) -> None:
    error = str(run(shared.url, reread=setting).error)
    assert sentence in error
    assert error.count("Setting reread") == 1


def test_unselected_streams_cost_nothing(spoilt: tuple[Sandbox, Run]) -> None:
    sandbox, before = spoilt
    catalog = select(discover(sandbox.url), "users")
    sandbox.post("/sandbox/stats/reset")
    run(sandbox.url, state=before.state, catalog=catalog, reread={"deals": "all"}).good()
    assert sandbox.requests("/deals") == []
