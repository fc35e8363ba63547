"""Streams that are off by default: the requests they make, and what happens if these are refused."""

from __future__ import annotations

import json
import logging
from collections import Counter

import pytest
from pipedrive_sandbox.testing import Sandbox

from .harness import TOKEN, discover, run, select

PROJECTS = ["project_boards", "project_phases", "project_templates", "projects", "tasks"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_optional_streams_are_not_read_by_default(shared: Sandbox) -> None:
    selected = {
        entry["tap_stream_id"]
        for entry in discover(shared.url)["streams"]
        for item in entry["metadata"]
        if not item["breadcrumb"]
        and item["metadata"].get("selected", item["metadata"]["selected-by-default"])
    }
    assert {"deals", "deal_products", "deal_changes"} <= selected
    assert not selected & {*PROJECTS, "files", "goals", "webhooks", "person_changes"}


@pytest.mark.parametrize(
    ("feature", "streams"),
    [
        ("projects", PROJECTS),
        ("installments", ["deal_installments"]),
        ("calls", ["call_logs"]),
        ("mailbox", ["mail_threads", "mail_messages"]),
        ("goals", ["goals"]),
    ],
)
def test_a_list_outside_the_plan_ends_empty_with_one_warning(
    feature: str, streams: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox(deals=60, without_features=frozenset({feature})) as sandbox:
        catalog = select(discover(sandbox.url), "users", "fields", *streams)
        done = run(sandbox.url, catalog=catalog).good()
    assert done.records("users")
    assert done.of("SCHEMA", streams[0])
    assert {name: done.records(name) for name in streams} == {name: [] for name in streams}
    said = Counter(text.partition(":")[0] for text in warnings(caplog))
    assert {name: said[name] for name in streams} == dict.fromkeys(streams, 1)


def test_a_list_that_the_token_may_not_read_ends_empty_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    streams = ["roles", "permission_sets", "webhooks"]
    with Sandbox(deals=60, limited_tokens=["limited"]) as sandbox:
        catalog = select(discover(sandbox.url), "users", *streams)
        done = run(sandbox.url, token="limited", catalog=catalog).good()
    assert done.records("users")
    assert not any(done.records(name) for name in streams)
    said = Counter(text.partition(":")[0] for text in warnings(caplog))
    assert {name: said[name] for name in streams} == dict.fromkeys(streams, 1)


@pytest.mark.parametrize(
    ("stream", "path", "parents", "count"),
    [
        ("deal_followers", "/followers", "deals", "followers_count"),
        ("deal_participants", "/participants", "deals", "participants_count"),
        ("deal_discounts", "/discounts", "deals", "products_count"),
        ("person_followers", "/followers", "persons", "followers_count"),
        ("organization_followers", "/followers", "organizations", "followers_count"),
    ],
)
def test_only_parents_with_children_are_asked(
    living: Sandbox, stream: str, path: str, parents: str, count: str
) -> None:
    one, key = (
        living.truth(stream)[0],
        {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"},
    )
    for row in living.truth(stream):
        if row[key[parents]] == one[key[parents]]:
            living.delete(f"/sandbox/records/{stream}/{row['id']}")
    living.post("/sandbox/stats/reset")
    catalog = select(discover(living.url), parents, stream)
    run(living.url, catalog=catalog).good()
    with_children = [row for row in living.truth(parents) if row[count]]
    assert 0 < len(with_children) < len(living.truth(parents))
    assert len(living.requests(path)) == len(with_children)


def test_installments_of_a_hundred_deals_cost_one_request(living: Sandbox) -> None:
    done = run(living.url, catalog=select(discover(living.url), "deal_installments")).good()
    assert len(done.records("deal_installments")) == len(living.truth("deal_installments")) > 0
    assert len(living.requests("/installments")) == 1


def test_goals_of_all_users_including_past_ones_are_read(shared: Sandbox) -> None:
    done = run(shared.url, catalog=select(discover(shared.url), "goals")).good()
    goals = done.records("goals")
    assert len({goal["id"] for goal in goals}) == len(goals) == len(shared.truth("goals"))
    assert {goal["is_active"] for goal in goals} == {True, False}
    assert {goal["assignee_type"] for goal in goals} == {"person", "company"}


def test_the_password_of_a_webhook_is_written_nowhere(living: Sandbox) -> None:
    (webhook, *_) = living.truth("webhooks")
    living.patch(
        f"/sandbox/records/webhooks/{webhook['id']}",
        {"http_auth_user": "u", "http_auth_password": "pass-Word"},
    )
    assert "pass-Word" in living.api("/api/v1/webhooks").text
    done = run(living.url, catalog=select(discover(living.url), "webhooks")).good()
    assert len(done.records("webhooks")) == len(living.truth("webhooks"))
    assert "pass-Word" not in json.dumps(done.messages, default=str)


def test_histories_of_persons_are_requested_for_changed_persons_only(living: Sandbox) -> None:
    catalog = select(discover(living.url), "persons", "person_changes")
    done = run(living.url, catalog=catalog).good()
    assert len(done.records("person_changes")) == len(living.truth("person_changes")) > 0
    assert len(living.requests("/changelog")) < len(living.truth("persons"))

    living.post("/sandbox/clock", {"advance_seconds": 3600})
    changed, *_ = done.records("person_changes")
    living.patch(f"/sandbox/records/persons/{changed['person_id']}", {"first_name": "Renamed"})
    living.post("/sandbox/stats/reset")
    again = run(living.url, catalog=catalog, state=done.state).good()
    assert [seen["path"] for seen in living.requests("/changelog")] == [
        f"/api/v1/persons/{changed['person_id']}/changelog"
    ]
    rows = again.records("person_changes")
    assert changed["change_id"] in {row["change_id"] for row in rows}
    latest = max(rows, key=lambda row: row["sequence"])
    assert (latest["field_key"], latest["new_value"]) == ("first_name", "Renamed")


def test_projects_and_the_definitions_of_their_custom_fields_are_read(shared: Sandbox) -> None:
    done = run(shared.url, catalog=select(discover(shared.url), "projects", "fields")).good()
    named = {
        row["column_name"]: row["field_name"]
        for row in done.records("fields")
        if row["entity"] == "project" and row["is_custom_field"]
    }
    assert named.keys() < done.columns("projects").keys()
    assert any(row[column] is not None for row in done.records("projects") for column in named)
    assert {row["archive_time"] is None for row in done.records("projects")} == {True, False}


def test_fields_of_projects_cost_nothing_if_projects_are_not_selected(living: Sandbox) -> None:
    run(living.url, token=TOKEN).good()
    assert not living.requests("projectFields")
