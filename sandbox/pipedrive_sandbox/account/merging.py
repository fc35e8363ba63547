"""Merging two records into one."""

from __future__ import annotations

from pipedrive_sandbox.account.children import superfluous
from pipedrive_sandbox.account.lifecycle import delete, update
from pipedrive_sandbox.account.store import TOMBSTONED, Account
from pipedrive_sandbox.records.model import PARENTS, Id, Record
from pipedrive_sandbox.records.refusals import Refusal, not_found

REFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "deals": (
        *((child, key) for child, (parent, key) in PARENTS.items() if parent == "deals"),
        ("activities", "deal_id"),
        ("notes", "deal_id"),
        ("files", "deal_id"),
        ("call_logs", "deal_id"),
        ("mail_threads", "deal_id"),
    ),
    "persons": (
        ("deals", "person_id"),
        ("activities", "person_id"),
        ("leads", "person_id"),
        ("notes", "person_id"),
        ("person_followers", "person_id"),
        ("deal_participants", "person_id"),
        ("files", "person_id"),
        ("call_logs", "person_id"),
    ),
    "organizations": (
        ("deals", "org_id"),
        ("persons", "org_id"),
        ("activities", "org_id"),
        ("leads", "organization_id"),
        ("notes", "org_id"),
        ("organization_followers", "org_id"),
        ("organization_relationships", "rel_owner_org_id"),
        ("organization_relationships", "rel_linked_org_id"),
        ("files", "org_id"),
        ("call_logs", "org_id"),
    ),
}
"""References to records that can be merged, by entity."""

IN_PROJECTS = {"deals": "deal_ids", "persons": "person_ids", "organizations": "org_ids"}
"""The keys under which projects list records that can be merged."""


def merge(account: Account, entity: str, id_: Id, into: Id, *, touch: bool = True) -> Record:
    """Merge a deal, person or organization into another one, and return the latter.

    The first record disappears without a trace. References to it change to the other one, which takes over
    custom field values that it lacks.
    """
    if entity not in REFERENCES:
        raise not_found(f"{entity} cannot be merged")
    if id_ == into:
        raise Refusal(400, "a record cannot be merged with itself")
    loser, winner = account.get(entity, id_), account.get(entity, into)
    if loser["is_deleted"] or winner["is_deleted"]:
        raise Refusal(400, "deleted records cannot be merged")
    for other, reference in REFERENCES[entity]:
        for row in list(account.table(other).having(reference, id_)):
            if superfluous(account, other, row | {reference: into}):
                delete(account, other, row["id"], touch=touch)
            elif not (other in TOMBSTONED and row["is_deleted"]):
                update(account, other, row["id"], {reference: into}, touch=touch)
    if entity == "persons":
        _rewrite_participants(account, id_, into, touch=touch)
    _rewrite_projects(account, IN_PROJECTS[entity], id_, into, touch=touch)
    account.table(entity).remove(id_)
    account.forget_logs(entity, id_)
    missing = {
        key: value
        for key, value in loser["custom_fields"].items()
        if value is not None and winner["custom_fields"].get(key) is None
    }
    return update(account, entity, into, {"custom_fields": missing}, touch=touch)


def _rewrite_participants(account: Account, id_: Id, into: Id, *, touch: bool) -> None:
    for row in list(account.table("activities")):
        people = row["participants"] or ()
        if not row["is_deleted"] and any(person["person_id"] == id_ for person in people):
            moved = [
                person | {"person_id": into} if person["person_id"] == id_ else person for person in people
            ]
            update(account, "activities", row["id"], {"participants": moved}, touch=touch)


def _rewrite_projects(account: Account, key: str, id_: Id, into: Id, *, touch: bool) -> None:
    for row in [row for row in account.table("projects") if id_ in row[key]]:
        moved = [into if other == id_ else other for other in row[key]]
        update(account, "projects", row["id"], {key: list(dict.fromkeys(moved))}, touch=touch)
