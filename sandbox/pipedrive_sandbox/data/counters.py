"""The counters and references that the API derives from an entity's children."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pipedrive_sandbox.data.contacts.following import FOLLOWED
from pipedrive_sandbox.data.draft import Draft, Record

_OUTCOMES = ("open", "won", "lost")


def count_children(draft: Draft) -> None:
    """Fill every `*_count` and `*_activity_id` of deals, persons, organizations and leads."""
    records = draft.records
    by_id = {
        entity: {row["id"]: row for row in records[entity]}
        for entity in ("deals", "persons", "organizations", "leads")
    }
    owners = {
        "deal_id": by_id["deals"],
        "person_id": by_id["persons"],
        "org_id": by_id["organizations"],
        "lead_id": by_id["leads"],
    }
    _activities(records["activities"], owners)
    for note in records["notes"]:
        for key in ("deal_id", "person_id", "org_id"):
            if owner := owners[key].get(note[key]):
                owner["notes_count"] += 1
    for row in records["files"]:
        for key in ("deal_id", "person_id", "org_id"):
            if owner := owners[key].get(row[key]):
                owner["files_count"] += 1
    for name, (entity, key) in FOLLOWED.items():
        followers = Counter(row[key] for row in records[name])
        for row in records[entity]:
            row["followers_count"] = followers[row["id"]]
    _participants(records["deal_participants"], by_id)
    _mail(records["mail_threads"], records["mail_messages"], by_id)
    for person in records["persons"]:
        if person["org_id"]:
            by_id["organizations"][person["org_id"]]["people_count"] += 1
    _deals(records["deals"], by_id)


def _participants(participants: list[Record], by_id: dict[str, dict[Any, Record]]) -> None:
    """Count participants of deals, and the deals in which persons participate besides their own."""
    counts = Counter(row["deal_id"] for row in participants)
    for deal in by_id["deals"].values():
        deal["participants_count"] = counts[deal["id"]]
    for row in participants:
        deal = by_id["deals"][row["deal_id"]]
        if row["person_id"] != deal["person_id"] and deal["status"] in _OUTCOMES:
            kind = "open" if deal["status"] == "open" else "closed"
            by_id["persons"][row["person_id"]][f"participant_{kind}_deals_count"] += 1


def _mail(threads: list[Record], messages: list[Record], by_id: dict[str, dict[Any, Record]]) -> None:
    """Count the messages of persons, and of the deals that a thread belongs to."""
    deal_of = {thread["id"]: thread["deal_id"] for thread in threads}
    for message in messages:
        for party in message["from"] + message["to"]:
            if party["linked_person_id"]:
                by_id["persons"][party["linked_person_id"]]["email_messages_count"] += 1
        if deal := by_id["deals"].get(deal_of[message["mail_thread_id"]]):
            deal["email_messages_count"] += 1


def _activities(activities: list[Record], owners: dict[str, dict[Any, Record]]) -> None:
    """Count activities, and find the next undone and the last done one by due time."""
    due: dict[int, tuple[str, str, int]] = {
        a["id"]: (a["due_date"], a["due_time"] or "", a["id"]) for a in activities
    }

    def point(owner: Record, key: str, activity: int, better: Callable[..., Any]) -> None:
        known = owner[key]
        owner[key] = activity if known is None else better(known, activity, key=due.__getitem__)

    for activity in activities:
        done = activity["done"]
        for key, by_id in owners.items():
            owner = by_id.get(activity[key])
            if owner is None:
                continue
            if key != "lead_id":
                owner["activities_count"] += 1
                owner["done_activities_count" if done else "undone_activities_count"] += 1
            if not done:
                point(owner, "next_activity_id", activity["id"], min)
            elif key != "lead_id":
                point(owner, "last_activity_id", activity["id"], max)


def _deals(deals: Iterable[Record], by_id: dict[str, dict[Any, Record]]) -> None:
    """Count deals of persons and organizations; `related` ones are found through the other entity."""
    for deal in deals:
        if deal["status"] not in _OUTCOMES:
            continue
        person = by_id["persons"].get(deal["person_id"])
        org = by_id["organizations"].get(deal["org_id"])
        employer = by_id["organizations"].get(person["org_id"]) if person else None
        counted = [(person, ""), (org, "")]
        if employer is not org:
            counted.append((employer, "related_"))
        for owner, scope in counted:
            if owner is not None:
                owner[f"{scope}{deal['status']}_deals_count"] += 1
                if deal["status"] != "open":
                    owner[f"{scope}closed_deals_count"] += 1
