# Over 400 lines: it has one section for each control of the sandbox.
"""Controls of a changing account: their effects, the truth and the statistics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pipedrive_sandbox.account.children import PAIRS
from pipedrive_sandbox.records.model import PARENTS
from pipedrive_sandbox.testing import Sandbox

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENTITIES = [
    *("deals", "persons", "organizations", "activities", "products", "pipelines", "stages"),
    *("deal_products", "leads", "notes", "users", "lead_labels", "activity_types", "currencies", "filters"),
    *("files", "goals", "roles", "permission_sets", "call_logs", "mail_threads", "mail_messages", "webhooks"),
    *("projects", "tasks", "project_boards", "project_phases", "project_templates", "note_comments"),
    *("deal_installments", "deal_discounts", "deal_followers", "deal_participants", "product_variations"),
    *("person_followers", "organization_followers", "organization_relationships"),
]
DAY = 86_400


def only(rows: list[dict[str, Any]], id_: Any) -> dict[str, Any]:
    (found,) = [row for row in rows if row["id"] == id_]
    return found


def live_deal(sandbox: Sandbox, **having: Any) -> dict[str, Any]:
    """Return a current open deal with the given values."""
    having = {"status": "open", "is_archived": False, **having}
    return next(
        deal for deal in sandbox.truth("deals") if all(deal[key] == value for key, value in having.items())
    )


def advance(sandbox: Sandbox, seconds: float) -> str:
    moment: str = sandbox.post("/sandbox/clock", {"advance_seconds": seconds})["now"]
    return moment


@pytest.mark.parametrize("entity", ENTITIES)
def test_a_created_record_has_every_key_and_is_listed(living: Sandbox, entity: str) -> None:
    keys = living.truth(entity)[0].keys()
    given: dict[str, Any] = {}
    if entity in PARENTS:
        parent, key = PARENTS[entity]
        given = {key: (live_deal(living) if parent == "deals" else living.truth(parent)[0])["id"]}
    if entity == "organization_relationships":
        given = {"rel_owner_org_id": 1, "rel_linked_org_id": 2}
    made = living.post(f"/sandbox/records/{entity}", given)
    assert made.keys() == keys
    assert only(living.truth(entity), made["id"]) == made
    if entity in PAIRS:
        given[PAIRS[entity][1]] = 999_999
    again = living.post(f"/sandbox/records/{entity}", given)
    assert again["id"] != made["id"]


def test_an_update_changes_update_time_unless_told_not_to(living: Sandbox) -> None:
    before = living.truth("persons")[0]
    moment = advance(living, 3600)
    touched = living.patch(f"/sandbox/records/persons/{before['id']}", {"name": "New"})
    assert touched == before | {"name": "New", "update_time": touched["update_time"]}
    assert touched["update_time"] >= moment
    advance(living, 3600)
    silent = living.patch(f"/sandbox/records/persons/{before['id']}?touch=false", {"name": "Newer"})
    assert silent == touched | {"name": "Newer"}
    assert living.api(f"/api/v2/persons/{before['id']}").granted()["data"]["name"] == "Newer"


def test_custom_fields_are_updated_separately(living: Sandbox) -> None:
    deal = live_deal(living)
    code = next(
        row["field_code"]
        for row in living.truth("fields")
        if row["entity"] == "deal" and row["is_custom_field"] and row["field_type"] == "varchar"
    )
    after = living.patch(f"/sandbox/records/deals/{deal['id']}", {"custom_fields": {code: "changed"}})
    assert after["custom_fields"] == deal["custom_fields"] | {code: "changed"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/sandbox/records/deals/1", {"tittle": "typo"}),
        ("PATCH", "/sandbox/records/deals/1", {"custom_fields": {"nothing": 1}}),
        ("POST", "/sandbox/records/persons", {"tittle": "typo"}),
        ("POST", "/sandbox/deals/1/move", {}),
        ("POST", "/sandbox/deals/1/merge", {"with": 1}),
        ("POST", "/sandbox/faults", {"kind": "plague"}),
        ("POST", "/sandbox/faults", {"kind": "reset", "path": "("}),
        ("POST", "/sandbox/faults", {"kind": "reset", "sometimes": True}),
        ("POST", "/sandbox/clock", {"set": "yesterday"}),
        ("POST", "/sandbox/change", {"kinds": ["explode"]}),
        ("POST", "/sandbox/change", [1]),
    ],
)
def test_controls_refuse_invalid_requests(shared: Sandbox, method: str, path: str, body: Any) -> None:
    assert shared.send(method, path, body).status == 400


@pytest.mark.parametrize(
    "path",
    ["/sandbox/truth/nothing", "/sandbox/nothing", "/sandbox/records/deals/1"],
)
def test_unknown_controls_are_not_found(shared: Sandbox, path: str) -> None:
    assert shared.send("GET", path).status == 404


def test_a_move_changes_stage_time_and_log(living: Sandbox) -> None:
    deal = live_deal(living)
    stage = next(
        row
        for row in living.truth("stages")
        if row["pipeline_id"] == deal["pipeline_id"] and row["id"] != deal["stage_id"]
    )
    moment = advance(living, 3600)
    moved = living.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": stage["id"]})
    assert moved["stage_id"] == stage["id"]
    assert moved["stage_change_time"] == moved["update_time"] >= moment
    log = [row for row in living.truth("deal_changes") if row["deal_id"] == deal["id"]]
    assert (log[-1]["field_key"], log[-1]["old_value"], log[-1]["new_value"]) == (
        "stage_id",
        str(deal["stage_id"]),
        str(stage["id"]),
    )


def test_winning_and_reopening_set_and_clear_the_times(living: Sandbox) -> None:
    deal = live_deal(living)
    path = f"/sandbox/records/deals/{deal['id']}"
    won = living.patch(path, {"status": "won"})
    assert won["won_time"] == won["close_time"] == won["first_won_time"] == won["update_time"]
    assert won["local_won_date"] == won["won_time"][:10]
    lost = living.patch(path, {"status": "lost", "lost_reason": "Price"})
    assert (lost["won_time"], lost["lost_reason"]) == (None, "Price")
    reopened = living.patch(path, {"status": "open"})
    assert [reopened[key] for key in ("lost_time", "close_time", "local_close_date", "lost_reason")] == [
        None
    ] * 4
    assert reopened["first_won_time"] == won["won_time"]


@pytest.mark.parametrize(("entity", "base"), [("deals", "/api/v2/deals"), ("leads", "/v1/leads")])
def test_archiving_moves_a_row_to_the_other_list(living: Sandbox, entity: str, base: str) -> None:
    row = next(row for row in living.truth(entity) if not row["is_archived"] and not row.get("is_deleted"))

    def where() -> list[str]:
        lists = {name: living.api(name, limit=500).granted()["data"] for name in (base, f"{base}/archived")}
        return [name for name, rows in lists.items() if row["id"] in [found["id"] for found in rows]]

    assert where() == [base]
    living.post(f"/sandbox/{entity}/{row['id']}/archive")
    assert where() == [f"{base}/archived"]
    living.post(f"/sandbox/{entity}/{row['id']}/unarchive")
    assert where() == [base]


def test_a_deleted_deal_is_listed_for_30_days() -> None:
    with Sandbox(now=NOON) as sandbox:
        line = next(
            line
            for line in sandbox.truth("deal_products")
            if not only(sandbox.truth("deals"), line["deal_id"])["is_archived"]
            and not only(sandbox.truth("deals"), line["deal_id"])["is_deleted"]
        )
        deal = line["deal_id"]
        sandbox.delete(f"/sandbox/records/deals/{deal}")
        assert deal not in [row["id"] for row in sandbox.rows("/api/v2/deals", limit=500)]

        def listed() -> list[dict[str, Any]]:
            found = sandbox.rows("/api/v2/deals", limit=500, status="deleted")
            return [row for row in found if row["id"] == deal]

        (tombstone,) = listed()
        assert (tombstone["is_deleted"], tombstone["status"]) == (True, "deleted")
        assert tombstone["update_time"] >= "2026-03-01T12:00:00Z"
        assert sandbox.api(f"/api/v2/deals/{deal}").granted()["data"]["is_deleted"] is True
        assert sandbox.send("PATCH", f"/sandbox/records/deals/{deal}", {"title": "x"}).json()["code"] == (
            "ERR_DEAL_DELETED"
        )
        advance(sandbox, 30 * DAY - 60)
        assert listed()
        advance(sandbox, 120)
        assert not listed()
        assert sandbox.api(f"/api/v2/deals/{deal}").status == 404
        assert deal not in [row["deal_id"] for row in sandbox.truth("deal_products")]
        assert deal not in [row["deal_id"] for row in sandbox.truth("deal_changes")]


@pytest.mark.parametrize("entity", ["persons", "organizations", "activities", "products"])
def test_other_deleted_rows_vanish_from_lists_at_once(living: Sandbox, entity: str) -> None:
    row = living.truth(entity)[-1]["id"]
    living.delete(f"/sandbox/records/{entity}/{row}")
    assert row not in [found["id"] for found in living.rows(f"/api/v2/{entity}", limit=500)]
    assert row not in [found["id"] for found in living.truth(entity)]
    assert living.api(f"/api/v2/{entity}/{row}").granted()["data"]["is_deleted"] is True
    advance(living, 31 * DAY)
    assert living.api(f"/api/v2/{entity}/{row}").status == 404


def test_line_items_of_a_deleted_product_stay_without_its_name(living: Sandbox) -> None:
    line = next(row for row in living.truth("deal_products") if row["product_id"])
    living.delete(f"/sandbox/records/products/{line['product_id']}")
    assert only(living.truth("deal_products"), line["id"]) == line
    advance(living, 31 * DAY)
    gone = {"product_id": None, "name": None, "product_variation_id": None}
    assert only(living.truth("deal_products"), line["id"]) == line | gone


@pytest.mark.parametrize("entity", ["pipelines", "stages"])
def test_deleted_stages_stay_listed_with_a_flag(living: Sandbox, entity: str) -> None:
    row = living.truth(entity)[-1]["id"]
    living.delete(f"/sandbox/records/{entity}/{row}")
    assert only(living.rows(f"/api/v2/{entity}"), row)["is_deleted"] is True


@pytest.mark.parametrize(("entity", "path"), [("leads", "/v1/leads"), ("notes", "/v1/notes")])
def test_deleted_leads_and_notes_are_gone(living: Sandbox, entity: str, path: str) -> None:
    row = living.api(path).granted()["data"][0]["id"]
    living.delete(f"/sandbox/records/{entity}/{row}")
    assert row not in [found["id"] for found in living.api(path, limit=500).granted()["data"]]
    assert row not in [found["id"] for found in living.truth(entity)]


POINTERS = {
    "organizations": {"deals": "org_id", "persons": "org_id", "activities": "org_id", "notes": "org_id"},
    "persons": {"deals": "person_id", "activities": "person_id", "leads": "person_id"},
    "deals": {"activities": "deal_id", "deal_products": "deal_id", "notes": "deal_id"},
}


@pytest.mark.parametrize("entity", POINTERS)
@pytest.mark.parametrize("touch", [True, False])
def test_a_merge_changes_all_references_and_removes_the_other_record(
    living: Sandbox, entity: str, touch: bool
) -> None:
    def pointers() -> dict[tuple[str, Any], set[Any]]:
        found: dict[tuple[str, Any], set[Any]] = {}
        for other, key in POINTERS[entity].items():
            for row in living.truth(other):
                if not row.get("is_deleted"):
                    found.setdefault((other, row[key]), set()).add(row["id"])
        return found

    before = pointers()
    rows = [row["id"] for row in living.truth(entity) if not row.get("is_deleted")]
    loser = max(rows, key=lambda id_: sum((other, id_) in before for other in POINTERS[entity]))
    winner = next(id_ for id_ in rows if id_ != loser)
    assert sum((other, loser) in before for other in POINTERS[entity]) > 1
    moment = advance(living, 3600)
    living.post(f"/sandbox/{entity}/{loser}/merge?touch={str(touch).lower()}", {"with": winner})
    assert loser not in [row["id"] for row in living.truth(entity)]
    assert living.api(f"/api/v2/{entity}/{loser}").status == 404
    after = pointers()
    for other in POINTERS[entity]:
        moved = before.get((other, loser), set())
        assert (other, loser) not in after
        assert after.get((other, winner), set()) == before.get((other, winner), set()) | moved
        times = [row["update_time"] for row in living.truth(other) if row["id"] in moved]
        assert all((time or "")[:19] >= moment[:19] for time in times) is touch or not times
    if entity == "persons":
        participants = [who["person_id"] for row in living.truth("activities") for who in row["participants"]]
        assert loser not in participants


def test_a_deal_is_updated_with_its_line_items(living: Sandbox) -> None:
    deal = live_deal(living, products_count=0)["id"]
    product = living.truth("products")[0]

    def state() -> tuple[Any, Any]:
        row = only(living.truth("deals"), deal)
        return row["value"], row["products_count"]

    line = living.post(
        "/sandbox/records/deal_products",
        {"deal_id": deal, "product_id": product["id"], "item_price": 10.1, "quantity": 3},
    )
    assert (str(line["sum"]), line["name"]) == ("30.30", product["name"])
    assert [str(part) for part in state()] == ["30.30", "1"]
    moment = advance(living, 60)
    living.patch(f"/sandbox/records/deal_products/{line['id']}", {"discount": 50})
    assert str(state()[0]) == "15.15"
    assert only(living.truth("deals"), deal)["update_time"] >= moment
    living.delete(f"/sandbox/records/deal_products/{line['id']}")
    assert state() == (0, 0)


def test_fields_and_options_can_be_changed(living: Sandbox) -> None:
    made = living.post(
        "/sandbox/fields/deal", {"field_name": "Cor", "field_type": "enum", "options": ["Azul", "Verde"]}
    )
    code, (blue, green) = made["field_code"], [option["id"] for option in made["options"]]
    assert len(code) == 40
    assert all(row["custom_fields"][code] is None for row in living.rows("/api/v2/deals", limit=500))
    assert all(code in row["custom_fields"] for row in living.truth("leads"))
    deal = live_deal(living)["id"]
    living.patch(f"/sandbox/records/deals/{deal}", {"custom_fields": {code: green}})
    assert len(living.truth("field_options")) > 2

    def shown() -> Any:
        body = living.api(f"/api/v2/deals/{deal}", include_option_labels="true").granted()
        return body["data"]["custom_fields"][code]

    path = f"/sandbox/fields/deal/{code}"
    assert shown() == {"id": green, "label": "Verde"}
    living.patch(f"{path}/options/{green}", {"label": "Esmeralda"})
    assert shown() == {"id": green, "label": "Esmeralda"}
    living.delete(f"{path}/options/{green}")
    assert shown() == {"id": green, "label": None}
    red = living.post(f"{path}/options", {"label": "Vermelho"})["options"][-1]["id"]
    assert red not in (blue, green)
    living.patch(path, {"field_name": "Cor preferida"})
    assert living.api(f"/api/v2/dealFields/{code}").granted()["data"]["field_name"] == "Cor preferida"
    living.delete(path)
    assert living.api(f"/api/v2/dealFields/{code}").status == 404
    assert all(code not in row["custom_fields"] for row in living.rows("/api/v2/deals", limit=500))
    assert living.send("DELETE", "/sandbox/fields/deal/title").status == 400


def test_hidden_rows_are_missing_for_that_token_only() -> None:
    with Sandbox(tokens=("blind", "seeing")) as sandbox:
        line = sandbox.truth("deal_products")[0]
        deal = line["deal_id"]
        sandbox.post("/sandbox/hide", {"entity": "deals", "ids": [deal]})
        many = sandbox.post("/sandbox/hide", {"token": "blind", "entity": "persons", "share": 0.5})["ids"]
        persons = {row["id"] for row in sandbox.truth("persons")}

        def seen(token: str, path: str, **params: Any) -> set[int]:
            reply = sandbox.api(path, headers={"x-api-token": token}, **params)
            return {row["id"] for row in reply.granted()["data"]}

        assert seen("blind", "/api/v2/persons", limit=500) == persons - set(many)
        assert seen("seeing", "/api/v2/persons", limit=500) == persons
        assert line["id"] in seen("seeing", "/api/v2/deals/products", deal_ids=deal)
        assert not seen("blind", "/api/v2/deals/products", deal_ids=deal)
        for path in (f"/api/v2/deals/{deal}", f"/v1/deals/{deal}/changelog"):
            assert sandbox.api(path).status == 404
        sandbox.delete("/sandbox/hide")
        assert seen("blind", "/api/v2/persons", limit=500) == persons


def test_a_random_change_is_reproducible_and_reports_what_it_did() -> None:
    def lived(seed: int) -> tuple[Any, dict[str, Any]]:
        with Sandbox(now=NOON) as sandbox:
            before = {entity: sandbox.truth(entity) for entity in ENTITIES}
            told = sandbox.post("/sandbox/change", {"share": 0.02, "seed": seed})
            after = {entity: sandbox.truth(entity) for entity in ENTITIES}
        changed = {
            entity: {row["id"] for row in before[entity] if row not in after[entity]}
            | {row["id"] for row in after[entity] if row not in before[entity]}
            for entity in ENTITIES
        }
        return told, changed

    told, changed = lived(1)
    assert lived(1) == (told, changed)
    assert lived(2)[0] != told
    expected = {"update", "create", "move", "close", "archive", "delete", "merge", "resize", "rename option"}
    expected |= {"postpone", "reopen", "hand over", "transfer"}
    assert {entry["kind"] for entry in told} == expected
    for entry in told:
        if entry["kind"] != "rename option" and entry.get("into", 0) is not None:
            assert entry["id"] in changed[entry["entity"]], entry
    assert len(changed["activities"]) < 60, "most rows stay unchanged"


def test_a_random_change_can_be_restricted(living: Sandbox) -> None:
    told = living.post("/sandbox/change", {"share": 0.01, "seed": 1, "kinds": ["move"]})
    assert {entry["kind"] for entry in told} == {"move"}


def test_the_truth_has_every_row_with_every_key(shared: Sandbox) -> None:
    deals = shared.truth("deals")
    assert {deal["status"] for deal in deals} == {"open", "won", "lost", "deleted"}
    assert {deal["is_archived"] for deal in deals} == {True, False}
    listed = shared.rows("/api/v2/deals", limit=500, include_fields="products_count,smart_bcc_email")
    for row in listed:
        assert only(deals, row["id"]) | row == only(deals, row["id"])
    options = shared.truth("field_options")
    assert {"entity", "field_code", "id", "label"} <= options[0].keys()


def test_stats_count_requests_and_tokens_by_endpoint(living: Sandbox) -> None:
    living.api("/api/v2/deals", updated_since="2026-01-01T00:00:00Z")
    living.api("/api/v2/deals/1")
    living.api("/api/v2/deals/2")
    living.api("/v1/leads", limit="x")
    stats = living.stats()
    assert (stats["requests"], stats["tokens"]) == (4, 32)
    assert stats["endpoints"]["GET /api/v2/deals/{id}"] == {
        "requests": 2,
        "tokens": 2,
        "statuses": {"200": 2},
    }
    assert stats["endpoints"]["GET /api/v1/leads"]["statuses"] == {"400": 1}
    (seen,) = living.requests("/api/v2/deals")[:1]
    assert seen["query"] == {"updated_since": "2026-01-01T00:00:00Z"}
    living.post("/sandbox/stats/reset")
    assert living.stats()["requests"] == 0


def test_the_clock_can_be_set(living: Sandbox) -> None:
    living.post("/sandbox/clock", {"set": "2030-01-01T00:00:00Z"})
    made = living.post("/sandbox/records/persons", {})
    assert made["add_time"].startswith("2030-01-01T00:00:0")
    now = datetime.fromisoformat(living.get("/sandbox/clock")["now"])
    assert now - datetime(2030, 1, 1, tzinfo=UTC) < timedelta(minutes=1)


def test_the_manifest_names_the_troubles(shared: Sandbox) -> None:
    assert shared.get("/sandbox/manifest")["troubles"]["twenty_phones"]["ids"]


def test_a_row_can_change_during_a_walk(living: Sandbox) -> None:
    """The third request returns a row that the second did not, because the walk reads live data."""
    rows = living.rows("/api/v2/products", limit=2)
    last, first = rows[-1]["id"], rows[0]["id"]
    rename: Callable[[int, str], dict[str, Any]] = lambda id_, name: {  # noqa: E731
        "method": "PATCH",
        "path": f"/sandbox/records/products/{id_}",
        "json": {"name": name},
    }
    for id_ in (first, last):
        living.post(
            "/sandbox/faults",
            {"kind": "change", "path": "products", "at": [3], "call": rename(id_, "Changed")},
        )
    walked = living.rows("/api/v2/products", limit=2)
    assert only(walked, last)["name"] == "Changed"
    assert only(walked, first)["name"] == rows[0]["name"]
