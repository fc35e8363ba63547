# Over 400 lines: it has one section for each kind of child records.
"""Child records: followers, participants, installments, files, projects, mail and others."""

from __future__ import annotations

from typing import Any

import pytest
from pipedrive_sandbox.api.endpoints import ENDPOINTS
from pipedrive_sandbox.records.model import PARENTS
from pipedrive_sandbox.testing import Sandbox

INVALID = (400, "ERR_SCHEMA_VALIDATION_FAILED")
FOLLOWERS = {
    "deals": ("deal_followers", "deal_id"),
    "persons": ("person_followers", "person_id"),
    "organizations": ("organization_followers", "org_id"),
}


def refused(sandbox: Sandbox, path: str, **params: Any) -> tuple[int, str | None]:
    reply = sandbox.api(path, **params)
    return reply.status, reply.json().get("code")


def open_deal(sandbox: Sandbox) -> dict[str, Any]:
    return next(
        deal
        for deal in sandbox.truth("deals")
        if deal["status"] == "open" and deal["followers_count"] and deal["person_id"]
    )


def stranger(sandbox: Sandbox, deal: dict[str, Any]) -> dict[str, Any]:
    """Return a person who does not participate in the deal."""
    inside = {row["person_id"] for row in sandbox.truth("deal_participants") if row["deal_id"] == deal["id"]}
    return next(row for row in sandbox.truth("persons") if row["id"] not in inside)


@pytest.mark.parametrize("name", FOLLOWERS)
def test_followers_have_users_and_times_but_no_ids(shared: Sandbox, name: str) -> None:
    entity, key = FOLLOWERS[name]
    truth = shared.truth(entity)
    most = max(truth, key=lambda row: sum(other[key] == row[key] for other in truth))[key]
    found = shared.rows(f"/api/v2/{name}/{most}/followers", limit=1)
    expected = [row for row in truth if row[key] == most]
    assert len(expected) > 1
    assert found == [{"user_id": row["user_id"], "add_time": row["add_time"]} for row in expected]
    assert refused(shared, f"/api/v2/{name}/{most}/followers", start=0) == INVALID
    assert refused(shared, f"/api/v2/{name}/999999/followers")[0] == 404
    assert refused(shared, f"/api/v2/{name}/x/followers") == INVALID


def test_most_records_have_one_follower_as_their_counter_says(shared: Sandbox) -> None:
    for name, (entity, key) in FOLLOWERS.items():
        counts: dict[int, int] = {}
        for row in shared.truth(entity):
            counts[row[key]] = counts.get(row[key], 0) + 1
        told = {row["id"]: row["followers_count"] for row in shared.truth(name)}
        assert {id_: counts.get(id_, 0) for id_ in told} == told
        assert sum(count == 1 for count in told.values()) > 0.85 * len(told)
        assert max(told.values()) > 1


@pytest.mark.parametrize(
    ("path", "entity"),
    [("deals/products", "deal_products"), ("deals/installments", "deal_installments")],
)
def test_one_call_returns_children_of_many_deals(shared: Sandbox, path: str, entity: str) -> None:
    truth = shared.truth(entity)
    deals = sorted({row["deal_id"] for row in truth})[:100]
    found = shared.rows(f"/api/v2/{path}", limit=3, deal_ids=",".join(map(str, deals)))
    assert found == [row for row in truth if row["deal_id"] in deals]
    assert refused(shared, f"/api/v2/{path}") == INVALID
    assert refused(shared, f"/api/v2/{path}", deal_ids=",".join(map(str, range(1, 102)))) == INVALID


def test_installments_can_be_sorted_by_the_documented_fields_only(shared: Sandbox) -> None:
    deals = sorted({row["deal_id"] for row in shared.truth("deal_installments")})[:100]
    params = {"deal_ids": ",".join(map(str, deals)), "limit": 3}
    rows = shared.rows("/api/v2/deals/installments", sort_by="billing_date", sort_direction="desc", **params)
    dates = [row["billing_date"] for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert len({row["id"] for row in rows}) == len(rows)
    assert refused(shared, "/api/v2/deals/installments", sort_by="add_time", **params) == INVALID


def test_installments_add_up_to_the_deal(shared: Sandbox) -> None:
    values = {row["id"]: row["value"] for row in shared.truth("deals")}
    sums: dict[int, Any] = {}
    for row in shared.truth("deal_installments"):
        sums[row["deal_id"]] = sums.get(row["deal_id"], 0) + row["amount"]
    assert sums
    assert all(abs(float(values[deal]) - float(total)) < 0.005 for deal, total in sums.items())


def test_discounts_and_line_items_of_one_deal(shared: Sandbox) -> None:
    discount = shared.truth("deal_discounts")[0]
    body = shared.api(f"/api/v2/deals/{discount['deal_id']}/discounts").granted()
    assert body.keys() == {"success", "data"}
    assert discount in body["data"]
    lines = shared.truth("deal_products")
    deal = max(lines, key=lambda line: line["order_nr"])["deal_id"]
    own = [line for line in lines if line["deal_id"] == deal]
    path = f"/api/v2/deals/{deal}/products"
    assert shared.rows(path, limit=1) == own
    backwards = shared.rows(path, limit=1, sort_by="order_nr", sort_direction="desc")
    assert backwards == own[::-1]
    assert shared.api(f"/api/v2/deals/{open_deal(shared)['id']}/discounts").status == 200


def test_participants_contain_whole_persons(shared: Sandbox) -> None:
    rows = shared.truth("deal_participants")
    deal = max(rows, key=lambda row: sum(other["deal_id"] == row["deal_id"] for other in rows))["deal_id"]
    body = shared.api(f"/v1/deals/{deal}/participants", limit=1).granted()
    assert body["additional_data"] == {"start": 0, "limit": 1, "more_items_in_collection": True}
    found = shared.api(f"/v1/deals/{deal}/participants").granted()["data"]
    own = [row for row in rows if row["deal_id"] == deal]
    assert [row["person_id"]["value"] for row in found] == [row["person_id"] for row in own]
    assert [row["person"]["id"] for row in found] == [row["person_id"] for row in own]
    assert found[0]["related_item_data"]["deal_id"] == deal
    assert {row["id"] for row in shared.rows("/api/v2/persons", deal_id=deal)} == {
        row["person_id"] for row in own
    }


def test_every_deal_with_a_person_has_and_counts_participants(shared: Sandbox) -> None:
    rows = shared.truth("deal_participants")
    for deal in shared.truth("deals"):
        own = [row["person_id"] for row in rows if row["deal_id"] == deal["id"]]
        assert deal["participants_count"] == len(own) == len(set(own))
        assert deal["person_id"] in own


def test_files_have_at_most_a_hundred_rows_per_page(shared: Sandbox) -> None:
    truth = shared.truth("files")
    first = shared.api("/v1/files", limit=20, sort="update_time DESC, id ASC").granted()
    assert first["additional_data"]["pagination"]["next_start"] == 20
    times = [row["update_time"] for row in first["data"]]
    assert times == sorted(times, reverse=True)
    assert refused(shared, "/v1/files", limit=101) == INVALID
    assert refused(shared, "/v1/files", sort="name ASC") == INVALID
    everything = shared.api("/v1/files").granted()
    assert everything["additional_data"]["pagination"]["limit"] == 100
    assert [row["id"] for row in everything["data"]] == [row["id"] for row in truth][:100]
    names = {row["id"]: row["title"] for row in shared.truth("deals")}
    for row in everything["data"]:
        assert row["deal_name"] == names.get(row["deal_id"], "")


@pytest.mark.parametrize(("name", "key"), [("deals", "deal_id"), ("persons", "person_id")])
def test_files_are_counted_by_their_parents(shared: Sandbox, name: str, key: str) -> None:
    files = [row[key] for row in shared.truth("files")]
    counts = {row["id"]: row["files_count"] for row in shared.truth(name)}
    assert sum(counts.values()) == sum(id_ is not None for id_ in files) > 0
    assert all(count == files.count(id_) for id_, count in counts.items())


def test_call_logs_are_those_of_the_token_s_user_in_pages_of_fifty() -> None:
    with Sandbox(deals=60, tokens=("first", "second")) as sandbox:
        truth = sandbox.truth("call_logs")
        for token in ("first", "second"):
            me = sandbox.api("/v1/users/me", headers={"x-api-token": token}).granted()["data"]["id"]
            body = sandbox.api("/v1/callLogs", headers={"x-api-token": token}).granted()
            own = [row["id"] for row in truth if row["user_id"] == me]
            assert [row["id"] for row in body["data"] or ()] == own[:50]
            assert body["additional_data"]["pagination"]["limit"] == 50
        assert {row["user_id"] for row in truth} > {me}
        assert refused(sandbox, "/v1/callLogs", limit=51) == INVALID


def test_the_mailbox_is_that_of_the_token_s_user_and_newest_first(shared: Sandbox) -> None:
    me = shared.api("/v1/users/me").granted()["data"]["id"]
    truth = [row for row in shared.truth("mail_threads") if row["user_id"] == me]
    seen: set[int] = set()
    for folder in ("inbox", "drafts", "sent", "archive"):
        body = shared.api("/v1/mailbox/mailThreads", folder=folder, limit=500).granted()
        assert "additional_data" not in body
        rows = body["data"] or []
        assert {row["id"] for row in rows} == {row["id"] for row in truth if folder in row["folders"]}
        stamps = [row["last_message_timestamp"] for row in rows]
        assert stamps == sorted(stamps, reverse=True)
        seen |= {row["id"] for row in rows}
    assert seen == {row["id"] for row in truth}
    assert refused(shared, "/v1/mailbox/mailThreads") == INVALID
    assert refused(shared, "/v1/mailbox/mailThreads", folder="spam") == INVALID
    thread = max(truth, key=lambda row: row["message_count"])
    messages = shared.api(f"/v1/mailbox/mailThreads/{thread['id']}/mailMessages").granted()["data"]
    assert len(messages) == thread["message_count"]
    foreign = next(row for row in shared.truth("mail_threads") if row["user_id"] != me)
    assert shared.api(f"/v1/mailbox/mailThreads/{foreign['id']}/mailMessages").status == 404


def test_offsets_reach_every_thread_without_paging_information(shared: Sandbox) -> None:
    whole = shared.api("/v1/mailbox/mailThreads", folder="inbox").granted()["data"]
    pages = [
        shared.api("/v1/mailbox/mailThreads", folder="inbox", start=start, limit=3).granted()["data"] or []
        for start in range(0, len(whole) + 3, 3)
    ]
    assert [row for page in pages for row in page] == whole
    assert pages[-1] == []


def test_relationships_are_seen_from_the_requested_organization(shared: Sandbox) -> None:
    row = next(row for row in shared.truth("organization_relationships") if row["type"] == "parent")
    owner, linked = row["rel_owner_org_id"], row["rel_linked_org_id"]
    for asked, other, kind in ((owner, linked, "daughter"), (linked, owner, "parent")):
        body = shared.api("/v1/organizationRelationships", org_id=asked).granted()
        (found,) = [shown for shown in body["data"] if shown["id"] == row["id"]]
        assert (found["calculated_type"], found["calculated_related_org_id"]) == (kind, other)
        assert found["rel_owner_org_id"]["value"] == owner
        assert str(other) in body["related_objects"]["organization"]
    assert refused(shared, "/v1/organizationRelationships") == INVALID
    lonely = {org["id"] for org in shared.truth("organizations")} - {
        other[key]
        for other in shared.truth("organization_relationships")
        for key in ("rel_owner_org_id", "rel_linked_org_id")
    }
    alone = shared.api("/v1/organizationRelationships", org_id=min(lonely)).granted()
    assert alone["data"] is None


def test_comments_have_uuids_and_pages(shared: Sandbox) -> None:
    rows = shared.truth("note_comments")
    note = max(rows, key=lambda row: sum(other["note_id"] == row["note_id"] for other in rows))["note_id"]
    body = shared.api(f"/v1/notes/{note}/comments", limit=1).granted()
    assert body["data"][0]["object_id"] == str(note)
    assert "id" not in body["data"][0]
    assert body["additional_data"]["pagination"]["limit"] == 1
    assert shared.api("/v1/notes/999999/comments").status == 404


def test_goals_are_the_user_s_own_active_ones_by_default(shared: Sandbox) -> None:
    truth, me = shared.truth("goals"), shared.api("/v1/users/me").granted()["data"]["id"]

    def found(**params: Any) -> set[str]:
        return {row["id"] for row in shared.api("/v1/goals/find", **params).granted()["data"]["goals"]}

    own = {"type": "person", "id": me}
    assert found() == {row["id"] for row in truth if row["is_active"] and row["assignee"] == own} != set()
    kinds = {row["type"]["name"] for row in truth}
    active = {id_ for kind in kinds for id_ in found(**{"type.name": kind})}
    over = {id_ for kind in kinds for id_ in found(**{"type.name": kind, "is_active": "false"})}
    assert active | over == {row["id"] for row in truth}
    assert active
    assert over
    assert not active & over
    assert refused(shared, "/v1/goals/find", **{"period.start": "2026-01-01"}) == INVALID
    assert refused(shared, "/v1/goals/find", **{"type.name": "deals_lost"}) == INVALID
    assert (
        found(**{"type.name": "deals_won", "period.start": "2000-01-01", "period.end": "2000-02-01"}) == set()
    )


def test_permission_sets_list_their_users(shared: Sandbox) -> None:
    sets = shared.api("/v1/permissionSets").granted()["data"]
    assignments = shared.truth("permission_set_assignments")
    for row in sets:
        path = f"/v1/permissionSets/{row['id']}/assignments"
        own = [entry for entry in assignments if entry["permission_set_id"] == row["id"]]
        assert row["assignment_count"] == len(own)
        if own:
            assert shared.api(path).granted()["data"] == own
        else:
            assert shared.api(path).status == 404
    assert {bool(row["assignment_count"]) for row in sets} == {True, False}
    only = shared.api("/v1/permissionSets", app="projects").granted()["data"]
    assert {row["app"] for row in only} == {"projects"}


def test_webhooks_roles_sources_and_filters(shared: Sandbox) -> None:
    hooks = shared.api("/v1/webhooks").granted()
    assert hooks["status"] == "ok"
    assert {row["is_active"] for row in hooks["data"]} == {0, 1}
    roles = shared.api("/v1/roles", limit=1).granted()
    assert roles["additional_data"]["pagination"]["next_start"] == 1
    assert isinstance(roles["data"][0]["assignment_count"], str)
    sources = shared.api("/v1/leadSources").granted()["data"]
    assert len(sources) == 10
    assert sources[0].keys() == {"name"}
    plain = shared.api("/v1/filters").granted()["data"][0]
    one = shared.api(f"/v1/filters/{plain['id']}").granted()["data"]
    assert {key: value for key, value in one.items() if key != "conditions"} == plain
    assert "field_code" not in one["conditions"]["conditions"][0]["conditions"][0]
    told = shared.api(f"/v1/filters/{plain['id']}", include_field_code="true").granted()["data"]
    assert told["conditions"]["conditions"][0]["conditions"][0]["field_code"]


def test_projects_can_be_live_archived_or_deleted(shared: Sandbox) -> None:
    truth = shared.truth("projects")

    def expected(archived: bool, *statuses: str) -> list[int]:
        return [
            row["id"]
            for row in truth
            if (row["archive_time"] is not None) is archived and row["status"] in statuses
        ]

    def ids(path: str, **params: Any) -> list[int]:
        return [row["id"] for row in shared.rows(path, limit=2, **params)]

    kept = ("open", "completed", "canceled")
    assert ids("/api/v2/projects") == expected(False, *kept)
    assert ids("/api/v2/projects/archived") == expected(True, *kept)
    everything = "open,completed,canceled,deleted"
    assert ids("/api/v2/projects", status=everything) == expected(False, *kept, "deleted")
    assert ids("/api/v2/projects", status="open,completed") == expected(False, "open", "completed")
    deal = truth[0]["deal_ids"][0]
    assert truth[0]["id"] in ids("/api/v2/projects", deal_id=deal, status=everything)
    assert refused(shared, "/api/v2/projects", updated_since="2026-01-01T00:00:00Z") == INVALID
    assert refused(shared, "/api/v2/projects", sort_by="id") == INVALID
    assert refused(shared, "/api/v2/projects", status="won") == INVALID
    assert refused(shared, "/api/v2/projects/archived", deal_id=1) == INVALID


def test_tasks_can_be_filtered(shared: Sandbox) -> None:
    truth = shared.truth("tasks")

    def ids(**params: Any) -> list[int]:
        return [row["id"] for row in shared.rows("/api/v2/tasks", limit=5, **params)]

    assert ids() == [row["id"] for row in truth]
    assert ids(is_done="true") == [row["id"] for row in truth if row["is_done"]]
    assert ids(parent_task_id="null") == [row["id"] for row in truth if row["parent_task_id"] is None]
    child = next(row for row in truth if row["parent_task_id"])
    assert child["id"] in ids(parent_task_id=child["parent_task_id"])
    busy = next(row for row in truth if row["assignee_ids"])
    user = busy["assignee_ids"][-1]
    assert ids(assignee_id=user) == [row["id"] for row in truth if user in row["assignee_ids"]]
    assert refused(shared, "/api/v2/tasks", parent_task_id="none") == INVALID


def test_boards_and_their_phases_are_returned_whole(shared: Sandbox) -> None:
    boards = shared.api("/api/v2/boards").granted()
    assert boards == {"success": True, "data": shared.truth("project_boards"), "additional_data": None}
    phases = shared.truth("project_phases")
    for board in boards["data"]:
        found = shared.api("/api/v2/phases", board_id=board["id"]).granted()["data"]
        assert found == [row for row in phases if row["board_id"] == board["id"]]
        assert found
    assert refused(shared, "/api/v2/phases") == INVALID
    assert refused(shared, "/api/v2/boards", limit=5) == INVALID


def test_fields_of_projects_are_separate_from_other_fields(shared: Sandbox) -> None:
    codes = {row["field_code"] for row in shared.rows("/api/v2/projectFields", limit=5)}
    assert codes == {row["field_code"] for row in shared.truth("project_fields")}
    assert "project" not in {row["entity"] for row in shared.truth("fields")}
    row = shared.truth("projects")[0]
    assert set(row["custom_fields"]) == {code for code in codes if len(code) == 40}
    assert set(row) - {"custom_fields"} <= codes


def test_variations_of_a_product(shared: Sandbox) -> None:
    truth = shared.truth("product_variations")
    product = truth[0]["product_id"]
    found = shared.rows(f"/api/v2/products/{product}/variations", limit=1)
    assert found == [row for row in truth if row["product_id"] == product]
    without = {row["id"] for row in shared.truth("products")} - {row["product_id"] for row in truth}
    assert shared.rows(f"/api/v2/products/{min(without)}/variations") == []


# --- changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("touch", [True, False])
def test_a_deal_counts_its_followers_participants_and_files(living: Sandbox, touch: bool) -> None:
    deal = open_deal(living)
    query = f"?touch={str(touch).lower()}"
    inside = {row["user_id"] for row in living.truth("deal_followers") if row["deal_id"] == deal["id"]}
    user = next(row["id"] for row in living.truth("users") if row["id"] not in inside)
    moment = living.post("/sandbox/clock", {"advance_seconds": 3600})["now"]
    made = {
        "deal_followers": {"user_id": user},
        "deal_participants": {"person_id": stranger(living, deal)["id"]},
        "files": {"name": "neu.pdf"},
    }
    rows = {
        entity: living.post(f"/sandbox/records/{entity}{query}", {"deal_id": deal["id"], **given})
        for entity, given in made.items()
    }

    def state() -> dict[str, Any]:
        (row,) = [row for row in living.truth("deals") if row["id"] == deal["id"]]
        return {key: row[key] for key in ("followers_count", "participants_count", "files_count")}

    before = {key: deal[key] for key in state()}
    assert state() == {key: count + 1 for key, count in before.items()}
    (now,) = [row for row in living.truth("deals") if row["id"] == deal["id"]]
    assert (now["update_time"] or "") >= moment if touch else now["update_time"] == deal["update_time"]
    assert now["stage_change_time"] == deal["stage_change_time"]
    for entity, row in rows.items():
        living.delete(f"/sandbox/records/{entity}/{row['id']}{query}")
        assert row["id"] not in [other["id"] for other in living.truth(entity)]
    assert state() == before


def test_a_user_cannot_follow_twice(living: Sandbox) -> None:
    row = living.truth("deal_followers")[0]
    again = {"deal_id": row["deal_id"], "user_id": row["user_id"]}
    assert living.send("POST", "/sandbox/records/deal_followers", again).status == 400


@pytest.mark.parametrize("entity", sorted(PARENTS))
def test_a_child_needs_a_parent(living: Sandbox, entity: str) -> None:
    _, key = PARENTS[entity]
    assert living.send("POST", f"/sandbox/records/{entity}", {}).status == 404
    assert living.send("POST", f"/sandbox/records/{entity}", {key: 999_999}).status == 404


def test_merged_deals_keep_each_child_once(living: Sandbox) -> None:
    winner, loser = [row["id"] for row in living.truth("deals") if row["status"] == "open"][:2]
    user = living.truth("users")[0]["id"]
    for deal in (winner, loser):
        living.send("POST", "/sandbox/records/deal_followers", {"deal_id": deal, "user_id": user})
    for entity in ("deal_installments", "deal_discounts", "files"):
        living.post(f"/sandbox/records/{entity}", {"deal_id": loser})

    def children(deal: int) -> dict[str, list[dict[str, Any]]]:
        names = [name for name, (parent, _) in PARENTS.items() if parent == "deals"]
        return {
            name: [row for row in living.truth(name) if row["deal_id"] == deal] for name in (*names, "files")
        }

    both = [children(winner), children(loser)]
    living.post(f"/sandbox/deals/{loser}/merge", {"with": winner})
    assert not any(children(loser).values())
    after = children(winner)
    for name, rows in after.items():
        key = {"deal_followers": "user_id", "deal_participants": "person_id"}.get(name, "id")
        assert sorted(str(row[key]) for row in rows) == sorted(
            {str(row[key]) for old in both for row in old[name]}
        ), name
    (deal,) = [row for row in living.truth("deals") if row["id"] == winner]
    assert deal["followers_count"] == len(after["deal_followers"])
    assert deal["files_count"] == len(after["files"])


def test_purged_records_lose_their_children(living: Sandbox) -> None:
    person = living.truth("person_followers")[0]["person_id"]
    note = living.truth("note_comments")[0]["note_id"]
    relation = living.truth("organization_relationships")[0]
    living.delete(f"/sandbox/records/persons/{person}")
    living.delete(f"/sandbox/records/notes/{note}")
    living.delete(f"/sandbox/records/organizations/{relation['rel_linked_org_id']}")
    assert person not in [row["person_id"] for row in living.truth("person_followers")]
    assert note not in [row["note_id"] for row in living.truth("note_comments")]
    living.post("/sandbox/clock", {"advance_seconds": 31 * 86_400})
    assert person not in [row["person_id"] for row in living.truth("deal_participants")]
    assert relation["id"] not in [row["id"] for row in living.truth("organization_relationships")]
    still = living.api("/v1/organizationRelationships", org_id=relation["rel_owner_org_id"])
    assert still.status in (200, 404)


def test_projects_can_be_moved_archived_and_deleted(living: Sandbox) -> None:
    project = next(
        row for row in living.truth("projects") if row["status"] == "open" and not row["archive_time"]
    )
    phase = next(row for row in living.truth("project_phases") if row["board_id"] != project["board_id"])
    path = f"/sandbox/records/projects/{project['id']}"
    moved = living.patch(path, {"phase_id": phase["id"]})
    assert moved["board_id"] == phase["board_id"]
    assert moved["status_change_time"] == project["status_change_time"]
    assert living.patch(path, {"status": "completed"})["status_change_time"] > moved["status_change_time"]
    living.post(f"/sandbox/projects/{project['id']}/archive")
    assert project["id"] in [row["id"] for row in living.rows("/api/v2/projects/archived")]
    living.post(f"/sandbox/projects/{project['id']}/unarchive")
    living.delete(path)
    assert project["id"] not in [row["id"] for row in living.rows("/api/v2/projects")]
    assert project["id"] in [row["id"] for row in living.rows("/api/v2/projects", status="deleted")]


def test_optional_entities_change_when_they_are_named(living: Sandbox) -> None:
    named = ["files", "deal_followers", "projects", "note_comments", "deal_installments", "webhooks"]
    before = {entity: living.truth(entity) for entity in [*named, "persons"]}
    told = living.post("/sandbox/change", {"share": 0.05, "seed": 1, "entities": named})
    assert {entry["entity"] for entry in told} == set(named)
    for entity in named:
        assert living.truth(entity) != before[entity], entity
    assert living.send("POST", "/sandbox/change", {"entities": ["everything"]}).status == 400


def test_the_default_change_leaves_optional_entities_unchanged(living: Sandbox) -> None:
    told = living.post("/sandbox/change", {"share": 0.05, "seed": 1})
    core = {"deals", "persons", "organizations", "activities", "products", "leads", "notes", "deal_products"}
    small = {"users", "pipelines", "stages", "activity_types", "lead_labels"}
    assert {entry["entity"] for entry in told} == core | small


def test_every_list_answers_in_a_fresh_account() -> None:
    """This also holds without defects and with almost no deals."""
    with Sandbox(deals=1, troubles=()) as sandbox:
        for endpoint in ENDPOINTS:
            if "{" not in endpoint.path and not endpoint.required:
                assert sandbox.api(endpoint.path).status == 200, endpoint.path
