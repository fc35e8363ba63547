"""A generated HubSpot account: the same arguments give the same data to the byte."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from itertools import chain
from random import Random
from typing import Any

from pipedrive_sandbox.account.clock import Clock, stamp
from pipedrive_sandbox.hubspot.definitions import OWNER, PIPELINES, SALES, STAGES
from pipedrive_sandbox.hubspot.draft import Draft, Row, clean_account
from pipedrive_sandbox.hubspot.portal import Portal
from pipedrive_sandbox.hubspot.troubles import ALL_TROUBLES, TROUBLES, Spoilt

__all__ = ["ALL_TROUBLES", "generate", "live"]

FIRST_STAGES = {pipeline.id: pipeline.stages[0].id for pipeline in PIPELINES}
ENDS = {each.id: [stage.id for stage in each.stages if stage.is_closed] for each in PIPELINES}
"""The final stages of each pipeline: won, lost."""

KEPT = (
    "dealname",
    "amount",
    "amount_in_home_currency",
    "deal_currency_code",
    "company_domain",
    "contact_email",
    "hs_analytics_source",
    OWNER.name,
)
"""Keys that are the same for a returning patient."""


def generate(
    deals: int, seed: int, now: datetime, troubles: Collection[str] = ALL_TROUBLES, properties: int = 0
) -> tuple[Portal, dict[str, Any]]:
    """Generate an account of `deals` deals as it is at `now`, and return it with its manifest.

    Each object has as many `properties`, if that is more than the account uses. From about 50 deals on, each
    of the `troubles` spoils at least one row. Raises ValueError for an unknown trouble.
    """
    if unknown := sorted(frozenset(troubles).difference(TROUBLES)):
        raise ValueError(f"no such trouble: {', '.join(unknown)}")
    draft = clean_account(deals, seed, int(now.timestamp()))
    spoilt = {name: run(draft, draft.rng(name)) for name, run in TROUBLES.items() if name in troubles}
    portal = _portal(draft, Portal(Clock(now), properties))
    manifest: dict[str, Any] = {"seed": seed, "deals": deals, "now": stamp(now), "troubles": {}}
    for name, rows in spoilt.items():
        manifest["troubles"][name] = {"what": inspect.getdoc(TROUBLES[name]), **_noted(rows)}
    return portal, manifest


def _noted(spoilt: Spoilt) -> dict[str, Any]:
    """Return the manifest's entries: `ids` by object, and `groups` of records that belong together."""
    noted: dict[str, Any] = {"ids": {}}
    for kind, rows in spoilt.items():
        groups = [row for row in rows if isinstance(row, list)]
        single: Iterable[Row] = chain(*groups) if groups else (row for row in rows if isinstance(row, Row))
        noted["ids"][kind] = sorted(row.id for row in single)
        if groups:
            noted["groups"] = [[row.id for row in group] for group in groups]
    return noted


def _portal(draft: Draft, portal: Portal) -> Portal:
    """Replay the account's history up to its clock: records are created at their times, and deals reach their
    stages.
    """
    for kind in ("companies", "contacts"):
        for row in draft.rows[kind]:
            others = {"companies": [row.company.id]} if row.company else {}
            with portal.clock.held(_moment(row.created)):
                row.id = portal.create(kind, row.values, others).id
    for row in draft.rows["deals"]:
        with portal.clock.held(_moment(row.created)):
            deal = portal.create("deals", _first_values(row), _others(row))
        row.id = deal.id
        stage = row.values["dealstage"]
        if stage != deal.values["dealstage"]:
            with portal.clock.held(_moment(row.closed)):
                portal.update("deals", deal, {"dealstage": stage})
    return portal


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _first_values(row: Row) -> dict[str, Any]:
    """Return the values of a deal at its creation, in the first stage of its pipeline."""
    values = dict(row.values) | {"closedate": row.closed * 1000}
    values["dealstage"] = FIRST_STAGES[row.values["pipeline"]]
    if row.company:
        values["company_domain"] = row.company.values["domain"]
    if row.contact:
        values["contact_email"] = row.contact.values["email"]
    return values


def _others(row: Row) -> dict[str, list[int]]:
    if not row.is_associated:
        return {}
    found = {"companies": row.company, "contacts": row.contact}
    return {kind: [other.id] for kind, other in found.items() if other}


def live(portal: Portal, seed: int, share: float = 0.01) -> None:
    """Win or lose a share of the open deals now, and create as many for returning patients."""
    rng = Random(f"{seed}/hubspot/live")  # noqa: S311 - made-up data, no secret
    open_deals = [deal for deal in portal.listed("deals") if not STAGES[deal.values["dealstage"]].is_closed]
    count = max(1, round(share * len(portal.listed("deals"))))
    for deal in rng.sample(open_deals, min(count, len(open_deals))):
        outcome = ENDS[deal.values["pipeline"]][rng.random() < 0.4]
        portal.update("deals", deal, {"dealstage": outcome})
    for deal in rng.sample(portal.listed("deals"), min(count, len(portal.listed("deals")))):
        values = {name: deal.values[name] for name in KEPT if name in deal.values}
        values |= {"pipeline": SALES.id, "dealstage": SALES.stages[0].id}
        portal.create("deals", values, deal.associated)
