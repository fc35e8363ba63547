"""Moving from singer-io's tap-pipedrive: its state can be continued."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from pipedrive_sandbox.testing import NOW, Sandbox
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.migrate import READ_WHOLE, TAKEN_OVER, migrated
from tap_pipedrive.streams import STREAMS

from .harness import Record, discover, run, select

LAST_RUN = NOW - timedelta(days=30)
STREAMS_BY_NAME = {vars(stream)["name"]: stream for stream in STREAMS}
LINE = "singer-io's tap-pipedrive"


def written(moment: datetime) -> str:
    """Format a time as that tap does, with its library's `str`."""
    return moment.isoformat()


def its_state(moment: datetime = LAST_RUN) -> Record:
    """Return the state that that tap leaves after a run of all its streams that was interrupted in the last."""
    names = {"activities", "activity_types", "deal_fields", "deals", "files", "filters", "notes"}
    names |= {"organizations", "persons", "pipelines", "products", "stages"}
    bookmarks = {name: {"update_time": written(moment)} for name in names}
    bookmarks |= {"users": {"modified": written(moment)}, "dealflow": {"log_time": written(moment)}}
    return {"bookmarks": bookmarks, "currently_syncing": "dealflow"}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if LINE in one.getMessage()]


def test_every_stream_of_that_tap_is_known() -> None:
    assert its_state()["bookmarks"].keys() == TAKEN_OVER.keys() | READ_WHOLE


@pytest.mark.parametrize(("key", "stream", "listing"), TAKEN_OVER.values(), ids=TAKEN_OVER)
def test_its_bookmarks_are_used_for_existing_streams_and_lists(key: str, stream: str, listing: str) -> None:
    ours = STREAMS_BY_NAME[stream]
    assert listing in [one.name for one in ours.listings]
    assert vars(ours).get("replication_key") == key or any(one.bookmark for one in ours.listings)


def test_only_changes_since_its_bookmarks_are_read(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    catalog = select(
        discover(living.url), "deals", "persons", "organizations", "activities", "products", "notes"
    )
    done = run(living.url, catalog=catalog, state=its_state()).good()
    since = LAST_RUN - timedelta(seconds=60)
    for stream in ("deals", "persons", "organizations", "activities", "products", "notes"):
        truth = [row for row in living.truth(stream) if not row.get("is_archived")]
        changed = {
            row["id"]
            for row in truth
            if row["update_time"] and datetime.fromisoformat(row["update_time"]) >= since
        }
        ids = {row["id"] for row in done.records(stream) if not row.get("is_archived")}
        assert ids == changed, stream
        assert len(changed) < len(truth), f"{stream}: everything has changed, so that this proves nothing"
    assert len(lines(caplog)) == 1
    assert all(stream in lines(caplog)[0] for stream in ("activities", "deals", "notes", "persons"))


def test_all_archived_deals_are_read_because_that_tap_reads_none(living: Sandbox) -> None:
    catalog = select(discover(living.url), "deals")
    done = run(living.url, catalog=catalog, state=its_state()).good()
    archived = {row["id"] for row in living.truth("deals") if row["is_archived"]}
    assert archived
    assert {row["id"] for row in done.records("deals") if row["is_archived"]} == archived


def test_its_stage_history_is_continued(living: Sandbox) -> None:
    catalog = select(discover(living.url), "deals", "deal_changes")
    done = run(living.url, catalog=catalog, state=its_state()).good()
    since = LAST_RUN - timedelta(seconds=60)
    moved = {
        row["id"]
        for row in living.truth("deals")
        if row["stage_change_time"] and datetime.fromisoformat(row["stage_change_time"]) >= since
    }
    asked = {int(seen["path"].split("/")[-2]) for seen in living.requests("/changelog")}
    assert asked
    assert asked <= moved
    assert {row["deal_id"] for row in done.records("deal_changes")} <= asked


def test_the_second_run_continues_from_a_state_of_this_tap(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    catalog = select(discover(living.url), "persons", "deals", "users")
    first = run(living.url, catalog=catalog, state=its_state()).good()
    assert "update_time" not in first.state["bookmarks"]["persons"]
    assert "users" not in first.state["bookmarks"] or "modified" not in first.state["bookmarks"]["users"]
    caplog.clear()
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert 0 < len(second.records("persons")) < len(first.records("persons")), "only rows within the lookback"
    assert lines(caplog) == []


def test_streams_without_a_counterpart_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    state = {
        "bookmarks": {"delete_log": {"update_time": "2020-01-01T00:00:00Z"}, "deals": {"update_time": "x"}}
    }
    assert migrated(state) == {
        "bookmarks": {
            "deals": {"partitions": [{"context": {"listing": "live"}, "replication_key_value": "x"}]}
        }
    }
    assert lines(caplog)[0].endswith("nothing here corresponds to delete_log.")


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bookmarks": {}},
        {"bookmarks": {"deals": {"partitions": [{"context": {"listing": "live"}}], "custom_fields": {}}}},
        {"bookmarks": {"persons": {"replication_key": "update_time", "replication_key_value": "2026-01-01"}}},
        {"bookmarks": {"persons": {"first_load": {"began": "2026-01-01T00:00:00Z", "cursor": "x"}}}},
        {"bookmarks": {"users": {}, "dealflow": None}},
    ],
    ids=str,
)
def test_any_other_state_is_left_unchanged(state: Record, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert migrated(state) is state
    assert lines(caplog) == []


def test_bookmarks_of_this_tap_take_precedence() -> None:
    ours = {"replication_key": "update_time", "replication_key_value": "2026-06-01T00:00:00Z"}
    state = {"bookmarks": {"deal_changes": ours, "dealflow": {"log_time": "2020-01-01T00:00:00Z"}}}
    assert migrated(state) == {"bookmarks": {"deal_changes": ours}}


@pytest.mark.parametrize("value", ["soon", "2026-13-01", 5, ["2026-01-01"], {"a": 1}], ids=repr)
def test_a_bookmark_that_is_not_a_time_is_reported_in_one_sentence(shared: Sandbox, value: Any) -> None:
    catalog = select(discover(shared.url), "persons")
    done = run(shared.url, catalog=catalog, state={"bookmarks": {"persons": {"update_time": value}}})
    assert isinstance(done.error, PipedriveError)
    assert "The state of persons" in str(done.error)


def test_an_empty_bookmark_causes_a_full_load(shared: Sandbox) -> None:
    catalog = select(discover(shared.url), "persons")
    done = run(shared.url, catalog=catalog, state={"bookmarks": {"persons": {"update_time": None}}}).good()
    assert {row["id"] for row in done.records("persons")} == {row["id"] for row in shared.truth("persons")}
