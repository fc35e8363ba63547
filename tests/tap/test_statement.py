"""The statement of a run, and the cost of one lasting fault: only the failing thing is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.checks import CHECKS
from tap_pipedrive.errors import Down, PipedriveError, Unauthorized
from tap_pipedrive.streams import STREAMS

from .harness import Asked, Record, Run, Say, account, discover, fake, run, say, select

DEFAULT = [
    stream.name
    for stream in list[Any](STREAMS)
    if stream.selected_by_default and stream.listings and stream.name not in CHECKS
]
LOG = "/changelog"
NO_ANSWER = {
    "null": Say(body=b"null"),
    "500": say({}, 500),
    "502": Say(502, b"<html>"),
    "no JSON": Say(body=b"<html>"),
    "no list": say({"success": True, "data": "none"}),
    "400": say({"success": False, "error": "Bad"}, 400),
    "403": say({"success": False, "error": "Forbidden"}, 403),
}


def statements(done: Run) -> dict[str, Record]:
    """Return the run's statement by stream."""
    rows = done.records("run_statements")
    assert len({row["run_id"] for row in rows}) == 1
    assert len({row["stream"] for row in rows}) == len(rows)
    return {row["stream"]: row for row in rows}


def reasons(done: Run) -> dict[str, str]:
    """Return the reason why each stream was left undone."""
    return {name: row["undone_reason"] for name, row in statements(done).items() if row["undone_reason"]}


# The statement


def test_a_successful_run_states_what_it_read(shared: Sandbox) -> None:
    done = run(shared.url, source_checks="none").good()
    found = statements(done)
    assert list(found) == DEFAULT
    assert done.messages[-1]["type"] == "STATE", "the target commits the statement"
    me = shared.api("/api/v1/users/me").granted()["data"]
    for stream, row in found.items():
        records = done.of("RECORD", stream)
        assert (row["company_id"], row["company_name"]) == (me["company_id"], me["company_name"])
        assert row["rows_sent"] == len(records)
        assert row["undone_reason"] is row["undone_detail"] is None
        assert (row["unread_ids"], row["unread_count"], row["is_missing"]) == ([], 0, False)
        assert row["began_at"] <= row["read_up_to"] <= row["ended_at"]
        assert row["last_complete_pass"] == row["read_up_to"]
        assert row["last_row_at"] == (records[-1]["time_extracted"] if records else None)
        assert row["method"] in ("whole", "first_load")
    assert found["deals"]["method"] == "first_load"
    assert found["users"]["method"] == "whole"
    assert (found["deals"]["api_version"], found["deal_changes"]["api_version"]) == ("v2", "v1")
    rejected = sum(row["values_rejected"] for row in found.values())
    assert rejected == len(done.records("rejected_values"))
    spent = {row["run_tokens_spent"] for row in found.values()}
    assert spent == {done.tap.run.client.limits.tokens_spent}  # type: ignore[union-attr]
    assert sum(row["tokens_spent"] for row in found.values()) == spent.pop() - 52, "definitions, users/me"


def test_later_runs_state_their_method(living: Sandbox) -> None:
    first = run(living.url).good()
    living.post("/sandbox/clock", {"advance_seconds": 3600})
    second = run(living.url, state=first.state).good()
    third = run(living.url, state=second.state, reconcile=True).good()
    before, then, whole = statements(first), statements(second), statements(third)
    assert (then["deals"]["method"], then["users"]["method"]) == ("changes", "whole")
    assert whole["deals"]["method"] == "reconcile"
    assert then["deals"]["last_complete_pass"] == before["deals"]["last_complete_pass"]
    assert then["deals"]["read_up_to"] > before["deals"]["read_up_to"]
    assert whole["deals"]["last_complete_pass"] >= then["deals"]["read_up_to"]
    assert not any(row["previous_run_died"] for row in then.values())


def test_streams_beyond_the_token_budget_are_stated_as_undone(living: Sandbox) -> None:
    first = run(living.url, token_budget=400).good()
    found = statements(first)
    undone = [name for name, row in found.items() if row["undone_reason"] == "budget"]
    assert undone
    assert undone[-1] == "deal_changes"
    assert all(row["read_up_to"] is None for row in found.values() if row["undone_reason"])
    assert all("token_budget" in found[name]["undone_detail"] for name in undone)
    second = run(living.url, state=first.state).good()
    assert reasons(second) == {}


def test_the_run_after_one_that_died_states_it(living: Sandbox) -> None:
    whole = run(living.url).good()
    states = [message["value"] for message in whole.of("STATE")]
    for state, died in ((states[len(states) // 2], True), (states[-1], False)):
        after = statements(run(living.url, state=state).good())
        assert {row["previous_run_died"] for row in after.values()} == {died}


def test_a_run_that_ends_with_an_error_states_what_it_did_not_read(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status", "status": 401, "path": r"/deals\?"})
    done = run(living.url, concurrency=1)
    assert isinstance(done.error, Unauthorized)
    found = statements(done)
    assert found["users"]["undone_reason"] is None
    for stream in ("deals", "deal_products", "deal_changes"):
        assert (found[stream]["undone_reason"], found[stream]["is_missing"]) == ("failed", True)
        assert "401" in found[stream]["undone_detail"]


def test_a_history_that_is_not_asked_for_is_not_stated(living: Sandbox) -> None:
    first = run(living.url, history="none").good()
    assert "deal_changes" not in statements(first)
    assert statements(first).keys() >= {"deals", "deal_products", "fields"}
    second = run(living.url, history="stage", state=first.state).good()
    assert statements(second)["deal_changes"]["read_up_to"]


def test_the_statement_is_not_written_if_it_is_not_selected(living: Sandbox) -> None:
    done = run(living.url, catalog=select(discover(living.url), "users")).good()
    assert done.of("SCHEMA", "run_statements") == done.records("run_statements") == []
    assert "run_statements" not in done.state["bookmarks"]


# One parent fails


def deals_of(
    count: int, spoil: Callable[[Asked], Say | str | None], day: str = "2026-10-02"
) -> Callable[[Asked], Say | str]:
    """Serve deals that moved once on that day, each with one line of history."""
    deals = [
        {"id": id_, "add_time": "2026-10-01T00:00:00Z", "products_count": 0}
        | dict.fromkeys(("update_time", "stage_change_time"), f"{day}T{id_ // 60:02}:{id_ % 60:02}:00Z")
        for id_ in range(1, count + 1)
    ]

    def answer(asked: Asked) -> Say | str | None:
        if (instead := spoil(asked)) is not None or not asked.path.endswith(LOG):
            return instead
        line = {"field_key": "stage_id", "old_value": "1", "new_value": "2", "time": "2026-10-02 00:00:00"}
        return say({"success": True, "data": [line], "additional_data": {}}, x_ratelimit_limit="480")

    return account({"/api/v2/deals": deals, "/api/v1/users": [{"id": 1}]}, spoil=answer)


def histories(done: Run) -> set[int]:
    return {row["deal_id"] for row in done.records("deal_changes")}


@pytest.mark.parametrize("fault", NO_ANSWER)
def test_a_history_that_fails_costs_only_itself_and_is_read_when_it_answers(
    fault: str, sleeps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def spoil(asked: Asked) -> Say | str | None:
        return NO_ANSWER[fault] if asked.path == f"/api/v1/deals/16{LOG}" else None

    with fake(deals_of(26, spoil)) as server:
        first = run(server.url).good()
        asked = len(server.asked)
        second = run(server.url, state=first.state).good()
        again = [request.path for request in server.asked[asked:] if LOG in request.path]
    assert histories(first) == set(range(1, 27)) - {16}
    for done in (first, second):
        assert reasons(done) == {"deal_changes": "unread"}
        said = statements(done)["deal_changes"]
        assert (said["unread_ids"], said["unread_count"], said["is_missing"]) == ([16], 1, False)
        assert said["read_up_to"]
        assert LOG in said["undone_detail"]
    assert set(again) == {f"/api/v1/deals/16{LOG}"}, "nothing else has changed"
    warnings = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert any("deal_changes: 1 parents (16) do not answer" in line for line in warnings)
    with fake(deals_of(26, lambda _: None)) as server:
        third = run(server.url, state=second.state).good()
        fourth = run(server.url, state=third.state).good()
    assert (histories(third), histories(fourth)) == ({16}, set())
    assert reasons(third) == {}
    assert "unread" not in third.state["bookmarks"]["deal_changes"]


@pytest.mark.parametrize("status", [404, 410])
def test_an_unread_parent_that_was_deleted_is_no_gap(status: int, sleeps: list[float]) -> None:
    def failing(asked: Asked) -> Say | str | None:
        return say({}, 500) if asked.path == f"/api/v1/deals/3{LOG}" else None

    def gone(asked: Asked) -> Say | str | None:
        return say({}, status) if asked.path == f"/api/v1/deals/3{LOG}" else None

    with fake(deals_of(5, failing)) as server:
        first = run(server.url).good()
    with fake(deals_of(5, gone)) as server:
        second = run(server.url, state=first.state).good()
        assert reasons(second) == {"deal_changes": "unread"}, "no sibling has answered"
    with fake(deals_of(5, gone, "2026-11-23")) as server:
        third = run(server.url, state=second.state).good()
    assert reasons(third) == {}


def test_failing_line_items_of_one_deal_cost_no_others(sleeps: list[float]) -> None:
    deals = [{"id": id_, "products_count": 1} for id_ in range(1, 121)]

    def spoil(asked: Asked) -> Say | str | None:
        if asked.path != "/api/v2/deals/products":
            return None
        ids = [int(id_) for id_ in asked.params["deal_ids"].split(",")]
        answer = say({"data": [{"id": id_, "deal_id": id_} for id_ in ids]}, x_ratelimit_limit="480")
        return say({}, 500) if 57 in ids else answer

    with fake(account({"/api/v2/deals": deals}, spoil=spoil)) as server:
        done = run(server.url).good()
    assert {row["id"] for row in done.records("deal_products")} == set(range(1, 121)) - {57}
    assert statements(done)["deal_products"]["unread_ids"] == [57]


@pytest.mark.parametrize("bad", [range(1, 26), range(20, 45), range(36, 61)])
def test_many_failing_parents_are_told_from_a_failing_endpoint(bad: range, sleeps: list[float]) -> None:
    """They are more than `max_unread`, so the list counts as missing; the other parents are loaded
    nevertheless.
    """

    def spoil(asked: Asked) -> Say | str | None:
        deal = asked.path.split("/")[4] if asked.path.endswith(LOG) else ""
        return say({}, 500) if deal and int(deal) in bad else None

    with fake(deals_of(70, spoil)) as server:
        done = run(server.url)
        assert "deal_changes: 25 parents do not answer, and max_unread is 10" in str(done.error)
        assert histories(done) == set(range(1, 71)) - set(bad)
        assert statements(done)["deal_changes"]["is_missing"]
        run(server.url, max_unread=25).good()


def test_a_failing_endpoint_is_given_up_after_few_parents(sleeps: list[float]) -> None:
    """The bookmark stays before them, so that none is skipped."""
    is_up = False

    def spoil(asked: Asked) -> Say | str | None:
        return say({}, 503) if asked.path.endswith(LOG) and not is_up else None

    with fake(deals_of(300, spoil)) as server:
        first = run(server.url)
        failed = [asked for asked in server.asked if asked.path.endswith(LOG)]
        is_up = True
        second = run(server.url, state=first.state).good()
    assert "deal_changes: GET /api/v1/deals/{id}/changelog failed 5 times" in str(first.error)
    assert len(failed) < 100
    assert len(first.records("deals")) == 300
    assert histories(second) == set(range(1, 301))


# One list fails


def lists(spoiled: str, answer: Say) -> Callable[[Asked], Say | str]:
    """Serve an account with a row in each of some lists, one of which gives another answer."""
    row = {"id": 1, "name": "x", "update_time": "2026-10-02T00:00:00Z"}
    paths = (
        "users",
        "currencies",
        "persons",
        "organizations",
        "products",
        "deals",
        "activities",
        "pipelines",
    )
    found = {f"/api/{version}/{path}": [row] for path in paths for version in ("v1", "v2")}
    return account(found, spoil=lambda asked: answer if asked.path == spoiled else None)


@pytest.mark.parametrize("answer", [say({}, 500), Say(body=b"null"), say({"data": 5})], ids=str)
@pytest.mark.parametrize("path", ["/api/v2/persons", "/api/v1/currencies", "/api/v2/deals"])
def test_a_failing_list_costs_only_itself(path: str, answer: Say, sleeps: list[float]) -> None:
    stream = path.rsplit("/", maxsplit=1)[-1]
    with fake(lists(path, answer)) as server:
        done = run(server.url)
        noted = run(server.url, missing="note").good()
    assert isinstance(done.error, PipedriveError)
    assert str(done.error).startswith(f"Everything else is loaded, but these are missing: {stream}: ")
    spared = {"users", "organizations", "products", "activities"}
    for each in (done, noted):
        assert spared <= {message["stream"] for message in each.of("RECORD")}
        missing = {name for name, row in statements(each).items() if row["is_missing"]}
        children = {"deal_products", "deal_changes"} if stream == "deals" else set()
        assert missing == {stream, *children}


@pytest.mark.parametrize("status", [402, 403, 404, 410, 415])
def test_a_refused_list_is_missing_if_it_had_rows_and_otherwise_empty(status: int) -> None:
    refusing = lists("/api/v2/persons", say({"success": False, "error": "No"}, status))
    with fake(refusing) as server:
        never = run(server.url).good()
    assert reasons(never) == {"persons": "rights" if status == 403 else "plan"}
    assert not any(row["is_missing"] for row in statements(never).values())
    with fake(lists("", say({}))) as server:
        first = run(server.url, state=never.state).good()
    with fake(refusing) as server:
        done = run(server.url, state=first.state)
        noted = run(server.url, state=first.state, missing="note").good()
    assert "persons: GET /api/v2/persons answered" in str(done.error)
    assert reasons(noted) == {"persons": "refused"}
    assert statements(noted)["persons"]["is_missing"]


def test_a_record_without_a_key_is_remembered_until_all_is_read_again() -> None:
    """It costs itself, and what hangs on it may be missing as well."""
    row = {"products_count": 0, "update_time": "2026-10-02T00:00:00Z"}
    lost = {"deals": "unread", "deal_products": "unread", "deal_changes": "unread"}
    with fake(account({"/api/v2/deals": [{**row, "id": 1}, row, {**row, "id": 2}]})) as server:
        first = run(server.url).good()
    assert {deal["id"] for deal in first.records("deals")} == {1, 2}
    assert statements(first)["deals"]["left_count"] == 1
    with fake(account({"/api/v2/deals": [{**row, "id": 1}]})) as server:
        second = run(server.url, state=first.state).good()
        whole = run(server.url, state=second.state, reconcile=True).good()
    assert (reasons(first), reasons(second), reasons(whole)) == (lost, lost, {})


def test_one_list_outside_the_plan_does_not_make_its_stream_missing() -> None:
    with fake(lists("/api/v2/deals/archived", say({"error": "Upgrade"}, 402))) as server:
        first = run(server.url).good()
        second = run(server.url, state=first.state).good()
    assert (
        reasons(first)
        == reasons(second)
        == {"deals": "plan"} | dict.fromkeys(("deal_products", "deal_changes"), "plan")
    )
    assert len(first.records("deals")) == 1


def test_a_host_that_stops_answering_ends_the_run(sleeps: list[float]) -> None:
    """The run ends after a few requests, not after five attempts for each list."""

    def goes(asked: Asked) -> Say | str | None:
        return say({}, 503) if asked.number >= 20 else None

    with fake(deals_of(60, goes)) as server:
        done = run(server.url, missing="note")
        assert len(server.asked) < 60
    assert isinstance(done.error, Down)
    assert statements(done)["deal_changes"]["undone_reason"] == "failed"
    moments = [datetime.fromisoformat(row["ended_at"]) for row in statements(done).values()]
    assert len(set(moments)) == 1
