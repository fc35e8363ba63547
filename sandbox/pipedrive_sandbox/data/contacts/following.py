"""Followers of deals and contacts, and participants of deals."""

from collections import defaultdict

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick

FOLLOWED = {
    "deal_followers": ("deals", "deal_id"),
    "person_followers": ("persons", "person_id"),
    "organization_followers": ("organizations", "org_id"),
}
"""For each list of followers, the list of followed records, and the key of the followed id."""

_UNFOLLOWED = 0.03
_FOLLOWED_BY_MORE = 0.05
_MORE_PARTICIPANTS = 0.05
_FORMER_PARTICIPANT = 0.03


def followers(draft: Draft, entity: str, key: str) -> list[Record]:
    """Return followers: usually the owner, sometimes with one to three colleagues; `key` holds the followed
    id.
    """
    rng, season = draft.rng(f"followers of {entity}"), draft.season
    staff = [user["id"] for user in draft.records["users"] if user["active_flag"]]
    rows: list[Record] = []
    for row in draft.records[entity]:
        fate = rng.random()
        if fate < _UNFOLLOWED:
            continue
        users = [row["owner_id"]]
        if fate > 1 - _FOLLOWED_BY_MORE:
            users += [pick(rng, staff) for _ in range(1 + int(rng.random() * 3))]
        for place, user in enumerate(dict.fromkeys(users)):
            since = season.edited(rng, row["add_time"], 90, 1.0) if place else row["add_time"]
            rows.append({"id": len(rows) + 1, key: row["id"], "user_id": user, "add_time": since})
    return rows


def participants(draft: Draft) -> list[Record]:
    """GET /v1/deals/{id}/participants: the deal's person, sometimes with colleagues or others."""
    rng, season = draft.rng("participants"), draft.season
    everybody = [person["id"] for person in draft.records["persons"]]
    colleagues: dict[int, list[int]] = defaultdict(list)
    for person in draft.records["persons"]:
        if person["org_id"]:
            colleagues[person["org_id"]].append(person["id"])
    rows: list[Record] = []
    for deal in draft.records["deals"]:
        if not deal["person_id"]:
            continue
        people = [deal["person_id"]]
        if rng.random() < _MORE_PARTICIPANTS:
            others = [id_ for id_ in colleagues.get(deal["org_id"], ()) if id_ != deal["person_id"]]
            people += [pick(rng, others or everybody) for _ in range(1 + int(rng.random() * 3))]
        for place, person_id in enumerate(dict.fromkeys(people)):
            since = season.edited(rng, deal["add_time"], 60, 1.0) if place else deal["add_time"]
            rows.append(
                {
                    "id": len(rows) + 1,
                    "deal_id": deal["id"],
                    "person_id": person_id,
                    "add_time": since,
                    "added_by_user_id": deal["creator_user_id"],
                    "active_flag": True,
                }
            )
    return rows


def participants_log(draft: Draft) -> dict[int, list[Record]]:
    """GET /v1/deals/{id}/participantsChangelog: the persons added, and sometimes one who was removed again."""
    rng, season = draft.rng("participants log"), draft.season
    everybody = [person["id"] for person in draft.records["persons"]]
    deals = {deal["id"]: deal for deal in draft.records["deals"]}
    present: dict[int, list[Record]] = defaultdict(list)
    for row in draft.records["deal_participants"]:
        present[row["deal_id"]].append(row)
    logs: dict[int, list[Record]] = {}
    for id_, rows in present.items():
        lines = [(row["add_time"], "added", row["person_id"]) for row in rows]
        person = pick(rng, everybody)
        if rng.random() < _FORMER_PARTICIPANT and person not in {row["person_id"] for row in rows}:
            came = season.edited(rng, deals[id_]["add_time"], 60, 1.0)
            lines += [(came, "added", person), (season.edited(rng, came, 60, 1.0), "removed", person)]
        actor = deals[id_]["creator_user_id"]
        logs[id_] = [
            {"actor_user_id": actor, "person_id": whom, "action": action, "time": time}
            for time, action, whom in sorted(lines, key=lambda line: line[0])
        ]
    return logs
