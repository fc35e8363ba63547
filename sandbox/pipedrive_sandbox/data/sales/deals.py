"""Deals, the log of their changes, and their line items."""

from bisect import bisect_right
from collections import defaultdict
from random import Random
from typing import Any

from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.sales.journey import Journey, travel
from pipedrive_sandbox.data.sales.line_items import line_items, recurring_revenue
from pipedrive_sandbox.data.setup.reference import COMPANY_DOMAIN, PIPELINES, RATES, rounded, seeded_uuid
from pipedrive_sandbox.data.times import DAY, HOUR, date_text, local_date_text
from pipedrive_sandbox.records.changelog import change_row

WITH_PRODUCTS = 0.5
CONVERTED_FROM_LEAD = 0.08
ARCHIVED = 0.10  # of those that are old enough
DELETED = 0.02
DELETED_DEALS_STAY = 30 * DAY

DEAL_LABELS = {8: "Estratégico", 9: "Recorrente", 10: "Urgente", 11: "Pilot"}
CHANNELS = {1: "Web forms", 2: "Prospector", 3: "Live chat", 4: "Marketing", 5: "Referral"}
ORIGINS = {"ManuallyCreated": 0.6, "API": 0.15, "Import": 0.15, "WebForm": 0.1}
_WHAT = ("Licenças", "Implantação", "Expansão", "Renovação", "Projeto piloto", "Rollout", "Upgrade")
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36"


class Directory:
    """The organizations and their persons that existed at a given moment, in order of arrival."""

    def __init__(self, draft: Draft) -> None:
        self.organizations = draft.records["organizations"]
        self._births = [org["add_time"] for org in self.organizations]
        self._people: dict[int, list[Record]] = defaultdict(list)
        for person in draft.records["persons"]:
            if person["org_id"]:
                self._people[person["org_id"]].append(person)

    def customer(self, rng: Random, moment: int) -> tuple[Record, Record]:
        """Return an organization that existed, newer ones more often, and a person who worked there."""
        known = bisect_right(self._births, moment)
        org = self.organizations[int(known * rng.random() ** 0.6)]
        people = [p for p in self._people[org["id"]] if p["add_time"] <= moment]
        return org, pick(rng, people)


def deals_and_line_items(draft: Draft) -> tuple[list[Record], list[Record]]:
    """GET /api/v2/deals (archived and deleted ones too) and /deals/products; fills draft.changes."""
    rng, season = draft.rng("deals"), draft.season
    directory = Directory(draft)
    users = [user["id"] for user in draft.records["users"]]
    staff = [user["id"] for user in draft.records["users"] if user["active_flag"]]
    shares = {number: plan.share for number, plan in enumerate(PIPELINES)}
    deals: list[Record] = []
    lines: list[Record] = []
    for number, born in enumerate(sorted(season.moment(rng) for _ in range(draft.deals)), 1):
        pipeline = weighted(rng, shares)
        journey = travel(rng, season, born, pipeline, draft.records["stages"])
        org, person = directory.customer(rng, born)
        currency = weighted(rng, PIPELINES[pipeline].currencies)
        owner = pick(rng, users if born < draft.now - 250 * DAY else staff)
        own_lines = (
            line_items(draft, rng, number, born, currency, len(lines)) if rng.random() < WITH_PRODUCTS else []
        )
        lines += own_lines
        value = sum(line["cents"] for line in own_lines) if own_lines else _estimate(rng, currency)
        probable = draft.records["pipelines"][journey.pipeline_id - 1]["is_deal_probability_enabled"]
        deal = {
            "id": number,
            "title": f"{org['name']} - {pick(rng, _WHAT)}",
            "creator_user_id": owner if rng.random() < 0.8 else pick(rng, users),
            "owner_id": owner,
            "value": money(value),
            "person_id": person["id"],
            "org_id": org["id"],
            "stage_id": journey.stage_id,
            "pipeline_id": journey.pipeline_id,
            "currency": currency,
            "archive_time": None,
            "add_time": born,
            "update_time": born,
            "stage_change_time": journey.stage_changed,
            "status": journey.status,
            "is_archived": False,
            "is_deleted": False,
            "probability": 5 * int(rng.random() * 21) if probable and rng.random() < 0.25 else None,
            "lost_reason": journey.lost_reason,
            "visible_to": 3 if rng.random() < 0.92 else 7,
            **_closing(journey),
            "expected_close_date": date_text(born + int((15 + rng.random() * 90) * DAY))
            if rng.random() < 0.75
            else None,
            "label_ids": [pick(rng, tuple(DEAL_LABELS))] if rng.random() < 0.3 else [],
            "origin": weighted(rng, ORIGINS),
            "origin_id": None,
            "channel": (channel := pick(rng, tuple(CHANNELS)) if rng.random() < 0.4 else None),
            "channel_id": f"campanha-{1 + int(rng.random() * 40)}" if channel == 4 else None,
            "arr": None,
            "mrr": None,
            "acv": None,
            "custom_fields": {},
            "next_activity_id": None,
            "last_activity_id": None,
            "first_won_time": journey.first_won,
            "products_count": len(own_lines),
            "files_count": 0,
            "notes_count": 0,
            "followers_count": 1,
            "email_messages_count": 0,
            "activities_count": 0,
            "done_activities_count": 0,
            "undone_activities_count": 0,
            "participants_count": 1,
            "last_incoming_mail_time": None,
            "last_outgoing_mail_time": None,
            "smart_bcc_email": f"{COMPANY_DOMAIN}+deal{number}@pipedrivemail.com",
            "source_lead_id": seeded_uuid(rng) if rng.random() < CONVERTED_FROM_LEAD else None,
        }
        deal.update(recurring_revenue(own_lines, currency))
        _edit(draft, rng, deal, journey)
        _log(draft, rng, deal, journey)
        deals.append(deal)
    for line in lines:
        del line["cents"]
    _delete_and_archive(draft, rng, deals)
    return deals, lines


def _closing(journey: Journey) -> dict[str, Any]:
    """Return the closing times and the office's closing dates, if the deal is closed."""
    won = journey.closed if journey.status == "won" else None
    lost = journey.closed if journey.status == "lost" else None
    closing: dict[str, Any] = {"close_time": journey.closed, "won_time": won, "lost_time": lost}
    for name, moment in (("won", won), ("lost", lost), ("close", journey.closed)):
        closing[f"local_{name}_date"] = None if moment is None else local_date_text(moment)
    return closing


def _estimate(rng: Random, currency: str) -> int:
    """Return the amount in cents of a deal without products, usually a round sum."""
    amount: float = rng.lognormvariate(9.6, 1.1) * RATES[currency]
    return rounded(round(amount, -2) * 100 if rng.random() < 0.7 else amount * 100, currency)


def _edit(draft: Draft, rng: Random, deal: Record, journey: Journey) -> None:
    """Add manual changes of an open deal: its value, closing date and owner."""
    born: int = deal["add_time"]
    end = journey.closed or draft.now

    def sometime() -> int:
        return born + 1 + int(rng.random() * max(end - born - 1, 1))

    if rng.random() < 0.3 and deal["value"]:
        before = _estimate(rng, deal["currency"])
        journey.events.append((sometime(), "value", str(money(before)), str(deal["value"])))
    if rng.random() < 0.2 and deal["expected_close_date"]:
        before_date = date_text(born + int((10 + rng.random() * 60) * DAY))
        change = (sometime(), "expected_close_date", before_date, deal["expected_close_date"])
        if before_date != deal["expected_close_date"]:
            journey.events.append(change)
    if rng.random() < 0.06 and deal["owner_id"] != deal["creator_user_id"]:
        change = (sometime(), "user_id", str(deal["creator_user_id"]), str(deal["owner_id"]))
        journey.events.append(change)


def _log(draft: Draft, rng: Random, deal: Record, journey: Journey) -> None:
    """Write the rows of GET /v1/deals/{id}/changelog, oldest first, and the time of the last."""
    if not journey.events:
        return
    journey.events.sort(key=lambda event: event[0])
    deal["update_time"] = journey.events[-1][0]
    actor = deal["owner_id"]
    by_api = [moment for moment, *_ in journey.events if rng.random() < 0.1]
    draft.changes["deals"][deal["id"]] = [
        logged(moment, key, old, new, actor, by_api=moment in by_api)
        for moment, key, old, new in journey.events
    ]


def logged(
    moment: int, key: str, old: str | None, new: str | None, actor: int, by_api: bool = False
) -> Record:
    """Return one row of a changelog: a change in the browser or through the API."""
    return change_row(
        key, old, new, actor, moment,
        change_source="api" if by_api else "app",
        change_source_user_agent=None if by_api else _BROWSER,
    )  # fmt: skip


def _delete_and_archive(draft: Draft, rng: Random, deals: list[Record]) -> None:
    """Delete some deals within the last 30 days, archive others, and update the rest."""
    for deal in deals:
        fate, last = rng.random(), deal["update_time"]
        if fate < DELETED:
            since = max(last, draft.now - DELETED_DEALS_STAY + HOUR)
            gone = since + int(rng.random() * (draft.now - since))
            row = logged(gone, "status", deal["status"], "deleted", deal["owner_id"])
            draft.changes["deals"].setdefault(deal["id"], []).append(row)
            deal.update(status="deleted", is_deleted=True, update_time=gone)
            continue
        deal["update_time"] = draft.season.edited(rng, last, 120, 0.3)
        settled = deal["close_time"] is not None
        if fate < DELETED + ARCHIVED * (1.15 if settled else 0.75):
            archived = draft.season.after(rng, deal["update_time"], 30 + rng.random() * 120)
            if archived <= draft.now:
                deal.update(is_archived=True, archive_time=archived)
                if rng.random() < 0.5:
                    deal["update_time"] = archived
