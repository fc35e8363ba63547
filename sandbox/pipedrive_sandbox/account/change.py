"""Changes a random share of the account, reproducibly by a seed, for tests and demonstrations."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from pipedrive_sandbox.account import definitions, lifecycle, merging
from pipedrive_sandbox.account.children import PAIRS
from pipedrive_sandbox.account.store import Account, lives
from pipedrive_sandbox.records.model import Record, Row
from pipedrive_sandbox.records.refusals import Refusal

COPIED = {
    "deals": ("expected_close_date", "label_ids"),
    "persons": ("phones", "label_ids"),
    "organizations": ("address", "label_ids"),
    "activities": ("due_date", "due_time", "done"),
    "products": ("description", "category"),
    "leads": ("value", "expected_close_date"),
    "notes": ("content",),
    "projects": ("phase_id", "end_date"),
}
"""Keys an update takes over from another row of the same entity."""

LABELLED = {
    "deals": "title",
    "organizations": "name",
    "activities": "subject",
    "products": "name",
    "leads": "title",
    "users": "name",
    "pipelines": "name",
    "stages": "name",
    "activity_types": "name",
    "lead_labels": "name",
    "files": "name",
    "filters": "name",
    "note_comments": "content",
    "deal_installments": "description",
    "deal_discounts": "description",
    "product_variations": "name",
    "projects": "title",
    "tasks": "title",
    "project_boards": "name",
    "project_phases": "name",
    "project_templates": "title",
    "goals": "title",
    "roles": "name",
    "permission_sets": "name",
    "webhooks": "name",
    "call_logs": "note",
    "mail_threads": "subject",
}
"""Keys to which an update adds a number, so that no update changes nothing."""

CLONED = {
    "deals": "title value currency owner_id person_id org_id pipeline_id stage_id custom_fields",
    "persons": "name first_name last_name owner_id org_id emails phones custom_fields",
    "organizations": "name owner_id address label_ids custom_fields",
    "activities": "subject type owner_id deal_id person_id org_id due_date due_time duration note",
    "products": "name code unit tax owner_id category billing_frequency custom_fields",
    "leads": "title owner_id person_id organization_id value label_ids custom_fields",
    "notes": "content deal_id person_id org_id lead_id user_id",
    "deal_products": "deal_id product_id name item_price quantity discount discount_type",
    "files": "name file_name file_type file_size deal_id person_id org_id user_id",
    "note_comments": "note_id content user_id",
    "deal_installments": "deal_id amount billing_date",
    "deal_discounts": "deal_id amount type",
    "product_variations": "product_id prices",
    "projects": "title board_id phase_id owner_id deal_ids person_ids org_ids custom_fields",
    "tasks": "project_id assignee_ids due_date",
}
"""Keys that a created row copies from another row of its entity."""

ON_DEALS = ("deal_products", "deal_installments", "deal_discounts")
"""Children of a deal; the last two exist only for deals with products."""


class Step(NamedTuple):
    """One line of the plan: what happens, to which entity, and to which part of the changed share."""

    kind: str
    entity: str
    part: float = 1.0


PLAN = (
    Step("update", "deals", 0.5),
    Step("move", "deals", 0.2),
    Step("close", "deals", 0.1),
    Step("create", "deals", 0.1),
    Step("archive", "deals", 0.04),
    Step("delete", "deals", 0.04),
    Step("merge", "deals", 0.02),
    Step("update", "persons", 0.8),
    Step("create", "persons", 0.1),
    Step("delete", "persons", 0.05),
    Step("merge", "persons", 0.05),
    Step("update", "organizations", 0.8),
    Step("create", "organizations", 0.1),
    Step("delete", "organizations", 0.05),
    Step("merge", "organizations", 0.05),
    Step("update", "activities", 0.7),
    Step("create", "activities", 0.2),
    Step("delete", "activities", 0.1),
    Step("update", "products"),
    Step("create", "products"),
    Step("delete", "products"),
    Step("update", "leads", 0.6),
    Step("create", "leads", 0.2),
    Step("archive", "leads", 0.1),
    Step("delete", "leads", 0.1),
    Step("update", "notes", 0.7),
    Step("create", "notes", 0.2),
    Step("delete", "notes", 0.1),
    Step("create", "deal_products", 0.4),
    Step("resize", "deal_products", 0.4),
    Step("delete", "deal_products", 0.2),
    Step("update", "users"),
    Step("update", "pipelines"),
    Step("update", "stages"),
    Step("update", "activity_types"),
    Step("update", "lead_labels"),
    Step("rename option", "deals", 0.01),
    Step("postpone", "deals", 0.1),
    Step("reopen", "deals", 0.04),
    Step("hand over", "deals", 0.04),
    Step("transfer", "deals", 0.02),
)

FURTHER = (
    *(Step("update", entity) for entity in LABELLED if entity not in {step.entity for step in PLAN}),
    *(Step("create", entity, 0.5) for entity in CLONED if entity not in {step.entity for step in PLAN}),
    *(Step("delete", entity, 0.5) for entity in CLONED if entity not in {step.entity for step in PLAN}),
    *(Step("delete", entity) for entity in PAIRS),
    Step("archive", "projects", 0.5),
)
"""Further steps, for entities that have to be named."""


def change(
    account: Account,
    share: float,
    seed: int,
    kinds: Collection[str] | None = None,
    entities: Collection[str] | None = None,
) -> list[Record]:
    """Change about `share` of every entity, at least one row each, and return what was done.

    The same account and seed give the same changes. `kinds` restricts them, e.g. to `update`. Without
    `entities`, the main entities change; further ones change only if named.
    """
    steps = PLAN if entities is None else [step for step in PLAN + FURTHER if step.entity in entities]
    for given, known in (
        (kinds, {step.kind for step in PLAN}),
        (entities, {step.entity for step in PLAN + FURTHER}),
    ):
        if unknown := set(given or ()) - known:
            raise Refusal(400, f"unknown: {sorted(unknown)}; known: {', '.join(sorted(known))}")
    rng = random.Random(f"change {seed}")  # noqa: S311  (data, not secrets)
    done: list[Record] = []
    for step in steps:
        if kinds is not None and step.kind not in kinds:
            continue
        candidates = _candidates(account, step)
        wanted = max(1, round(share * step.part * len(account.table(step.entity))))
        for row in rng.sample(candidates, min(wanted, len(candidates))):
            fresh = account.table(step.entity).get(row["id"])
            if fresh is None or not lives(fresh):  # an earlier merge or delete in this step removed it
                continue
            outcome = ACTIONS[step.kind](account, step.entity, fresh, candidates, rng)
            done.append({"kind": step.kind, "entity": step.entity} | outcome)
    return done


def _candidates(account: Account, step: Step) -> list[Record]:
    rows = account.table(step.entity).walk("id", descending=False)
    if step.entity in ON_DEALS:
        deals = account.table("deals")
        return [
            row
            for row in rows
            if (deal := deals.get(row["deal_id"]))
            and lives(deal)
            and (step.entity == "deal_products" or deal["products_count"])
        ]
    if step.kind == "reopen":
        return [row for row in rows if row["status"] in ("won", "lost") and not row["is_archived"]]
    if step.kind in ("move", "close", "postpone", "hand over", "transfer"):
        return [row for row in rows if row["status"] == "open" and not row["is_archived"]]
    return [row for row in rows if lives(row) and not row.get("is_archived")]


def _update(account: Account, entity: str, row: Row, candidates: list[Record], rng: random.Random) -> Record:
    donor = rng.choice(candidates)
    changes: Record = {key: donor[key] for key in COPIED.get(entity, ())}
    if entity in LABELLED:
        changes[LABELLED[entity]] = f"{row[LABELLED[entity]]} #{rng.randrange(1000)}"
    if entity == "deals" and not row["products_count"]:
        changes["value"] = donor["value"]
    filled = sorted(key for key, value in donor.get("custom_fields", {}).items() if value)
    if filled:
        keys = rng.sample(filled, min(3, len(filled)))
        changes["custom_fields"] = {key: donor["custom_fields"][key] for key in keys}
    lifecycle.update(account, entity, row["id"], changes)
    return {"id": row["id"], "keys": sorted(changes)}


def _create(
    account: Account, entity: str, row: Row, _candidates: list[Record], _rng: random.Random
) -> Record:
    given = {key: row[key] for key in CLONED[entity].split()}
    return {"id": lifecycle.create(account, entity, given)["id"]}


def _move(account: Account, entity: str, row: Row, _candidates: list[Record], rng: random.Random) -> Record:
    others = [
        stage["id"]
        for stage in account.table("stages").walk("id", descending=False)
        if stage["pipeline_id"] == row["pipeline_id"] and stage["id"] != row["stage_id"]
    ]
    stage_id = rng.choice(others or [row["stage_id"]])
    lifecycle.update(account, entity, row["id"], {"stage_id": stage_id})
    return {"id": row["id"], "stage_id": stage_id}


def _transfer(
    account: Account, entity: str, row: Row, _candidates: list[Record], rng: random.Random
) -> Record:
    elsewhere = [
        stage["id"]
        for stage in account.table("stages").walk("id", descending=False)
        if stage["pipeline_id"] != row["pipeline_id"]
    ]
    stage_id = rng.choice(elsewhere or [row["stage_id"]])
    lifecycle.update(account, entity, row["id"], {"stage_id": stage_id})
    return {"id": row["id"], "stage_id": stage_id}


def _postpone(
    account: Account, entity: str, row: Row, _candidates: list[Record], rng: random.Random
) -> Record:
    expected = row["expected_close_date"]
    day = date.fromisoformat(expected) if expected else account.clock.now().date()
    later = str(day + timedelta(days=rng.randrange(7, 60)))
    lifecycle.update(account, entity, row["id"], {"expected_close_date": later})
    return {"id": row["id"], "expected_close_date": later}


def _hand_over(
    account: Account, entity: str, row: Row, _candidates: list[Record], rng: random.Random
) -> Record:
    staff = [
        user["id"]
        for user in account.table("users").walk("id", descending=False)
        if user["active_flag"] and user["id"] != row["owner_id"]
    ]
    owner = rng.choice(staff or [row["owner_id"]])
    lifecycle.update(account, entity, row["id"], {"owner_id": owner})
    return {"id": row["id"], "owner_id": owner}


def _reopen(
    account: Account, entity: str, row: Row, _candidates: list[Record], _rng: random.Random
) -> Record:
    lifecycle.update(account, entity, row["id"], {"status": "open"})
    return {"id": row["id"]}


def _close(account: Account, entity: str, row: Row, _candidates: list[Record], rng: random.Random) -> Record:
    status = rng.choice(("won", "lost"))
    reason = {"lost_reason": "Price"} if status == "lost" else {}
    lifecycle.update(account, entity, row["id"], {"status": status} | reason)
    return {"id": row["id"], "status": status}


def _archive(
    account: Account, entity: str, row: Row, _candidates: list[Record], _rng: random.Random
) -> Record:
    lifecycle.archive(account, entity, row["id"], yes=True)
    return {"id": row["id"]}


def _delete(
    account: Account, entity: str, row: Row, _candidates: list[Record], _rng: random.Random
) -> Record:
    lifecycle.delete(account, entity, row["id"])
    return {"id": row["id"]}


def _merge(account: Account, entity: str, row: Row, candidates: list[Record], rng: random.Random) -> Record:
    into = rng.choice([other["id"] for other in candidates if other["id"] != row["id"]])
    winner = account.table(entity).get(into)
    if winner is None or not lives(winner):
        return {"id": row["id"], "into": None}
    merging.merge(account, entity, row["id"], into)
    return {"id": row["id"], "into": into}


def _resize(
    account: Account, entity: str, row: Row, _candidates: list[Record], _rng: random.Random
) -> Record:
    quantity = Decimal(str(row["quantity"])) + 1
    lifecycle.update(account, entity, row["id"], {"quantity": quantity})
    return {"id": row["id"]}


def _rename_option(
    account: Account, entity: str, _row: Row, _candidates: list[Record], rng: random.Random
) -> Record:
    choices = [
        (field["field_code"], option)
        for field in account.fields_of(entity)
        if field["is_custom_field"]
        for option in field["options"] or ()
    ]
    if not choices:
        return {}
    code, option = rng.choice(choices)
    label = f"{option['label']} #{rng.randrange(1000)}"
    definitions.rename_option(account, "deal", code, str(option["id"]), label)
    return {"field_code": code, "option_id": option["id"], "label": label}


ACTIONS: dict[str, Callable[[Account, str, Any, list[Record], random.Random], Record]] = {
    "update": _update,
    "create": _create,
    "move": _move,
    "close": _close,
    "archive": _archive,
    "delete": _delete,
    "merge": _merge,
    "resize": _resize,
    "rename option": _rename_option,
    "postpone": _postpone,
    "reopen": _reopen,
    "hand over": _hand_over,
    "transfer": _transfer,
}
