"""Organizations and the persons who work there."""

from random import Random
from typing import Any

from pipedrive_sandbox.data.contacts.people import slug
from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.reference import COMPANY_DOMAIN
from pipedrive_sandbox.data.times import DAY

ORGANIZATIONS_PER_DEAL = 0.6
PERSONS_PER_DEAL = 1.2

INDUSTRIES = ("Healthcare", "Retail", "Technology", "Education", "Manufacturing", "Finance")
ORGANIZATION_LABELS = {1: "Cliente", 2: "Prospect", 3: "Parceiro", 4: "Ex-cliente"}
PERSON_LABELS = {5: "Decisor", 6: "Influenciador", 7: "Hot lead"}
_JOBS = (
    "Diretor comercial", "Gerente de compras", "Analista de sistemas", "CEO", "Head of Operations",
    "Médica responsável", "Sócio-administrador", "Coordenadora financeira", "CTO", "Enfermeira-chefe",
)  # fmt: skip

_DEAL_COUNTS = {
    f"{scope}{outcome}_deals_count": 0
    for outcome in ("open", "closed", "won", "lost")
    for scope in ("", "related_")
}


def _owner(draft: Draft, rng: Random) -> Any:
    return pick(rng, draft.records["users"])["id"]


def organizations(draft: Draft) -> list[Record]:
    """GET /api/v2/organizations, with the optional counters still empty."""
    rng, season = draft.rng("organizations"), draft.season
    count = max(30, int(draft.deals * ORGANIZATIONS_PER_DEAL))
    # the first ones existed before the first deal
    births = sorted(
        season.start - int(rng.random() * 60 * DAY) if number < count // 20 + 1 else season.moment(rng)
        for number in range(count)
    )
    rows = []
    for number, born in enumerate(births, 1):
        name, domain = draft.people.company(rng)
        draft.domains[number] = domain
        rows.append(
            {
                "id": number,
                "name": name,
                "owner_id": _owner(draft, rng),
                "add_time": born,
                "update_time": season.edited(rng, born, 300, 0.6),
                "is_deleted": False,
                "visible_to": 3 if rng.random() < 0.9 else 7,
                "address": draft.people.address(rng) if rng.random() < 0.75 else None,
                "label_ids": [pick(rng, tuple(ORGANIZATION_LABELS))] if rng.random() < 0.4 else [],
                "website": f"https://www.{domain}" if rng.random() < 0.7 else None,
                "linkedin": f"https://www.linkedin.com/company/{slug(name)}" if rng.random() < 0.2 else None,
                "industry": 1 + int(rng.random() * len(INDUSTRIES)) if rng.random() < 0.5 else None,
                "annual_revenue": round(10 ** (5 + rng.random() * 4)) if rng.random() < 0.3 else None,
                "employee_count": round(10 ** (rng.random() * 4)) if rng.random() < 0.4 else None,
                "custom_fields": {},
                "next_activity_id": None,
                "last_activity_id": None,
                **_DEAL_COUNTS,
                "email_messages_count": 0,
                "people_count": 0,
                "activities_count": 0,
                "done_activities_count": 0,
                "undone_activities_count": 0,
                "files_count": 0,
                "notes_count": 0,
                "followers_count": 1,
                "smart_bcc_email": f"{COMPANY_DOMAIN}+org{number}@pipedrivemail.com",
            }
        )
    return rows


def persons(draft: Draft) -> list[Record]:
    """GET /api/v2/persons: one came with each organization, others later, and a few without an organization."""
    rng, season = draft.rng("persons"), draft.season
    employers = draft.records["organizations"]
    arrivals: list[tuple[int, int | None]] = [(org["add_time"], org["id"]) for org in employers]
    for _ in range(max(60, int(draft.deals * PERSONS_PER_DEAL)) - len(arrivals)):
        org = pick(rng, employers)
        if rng.random() < 0.06:
            arrivals.append((season.moment(rng), None))
        else:
            arrivals.append((season.edited(rng, org["add_time"], 400, 0.9), org["id"]))
    arrivals.sort(key=lambda arrival: (arrival[0], arrival[1] or 0))
    rows = []
    for number, (born, org_id) in enumerate(arrivals, 1):
        first, last = draft.people.person(rng)
        rows.append(
            {
                "id": number,
                "name": f"{first} {last}",
                "first_name": first,
                "last_name": last,
                "owner_id": _owner(draft, rng),
                "org_id": org_id,
                "add_time": born,
                "update_time": season.edited(rng, born, 300, 0.6),
                "emails": _emails(draft, rng, first, last, org_id),
                "phones": _phones(draft, rng),
                "is_deleted": False,
                "visible_to": 3 if rng.random() < 0.9 else 7,
                "label_ids": [pick(rng, tuple(PERSON_LABELS))] if rng.random() < 0.3 else [],
                "picture_id": number * 3 if rng.random() < 0.1 else None,
                "postal_address": draft.people.address(rng) if rng.random() < 0.1 else None,
                "notes": "Prefere contato pela manhã" if rng.random() < 0.05 else None,
                "im": [{"value": slug(first + last), "primary": True, "label": "skype"}]
                if rng.random() < 0.08
                else [],
                "birthday": f"{1950 + int(rng.random() * 55)}-{1 + int(rng.random() * 12):02d}"
                f"-{1 + int(rng.random() * 28):02d}"
                if rng.random() < 0.15
                else None,
                "job_title": pick(rng, _JOBS) if rng.random() < 0.4 else None,
                "custom_fields": {},
                "next_activity_id": None,
                "last_activity_id": None,
                **_DEAL_COUNTS,
                "participant_open_deals_count": 0,
                "participant_closed_deals_count": 0,
                "email_messages_count": 0,
                "activities_count": 0,
                "done_activities_count": 0,
                "undone_activities_count": 0,
                "files_count": 0,
                "notes_count": 0,
                "followers_count": 1,
                "last_incoming_mail_time": None,
                "last_outgoing_mail_time": None,
                "marketing_status": pick(rng, ("no_consent", "subscribed", "unsubscribed")),
                "doi_status": 1,
                "smart_bcc_email": f"{COMPANY_DOMAIN}+person{number}@pipedrivemail.com",
            }
        )
    return rows


def _emails(draft: Draft, rng: Random, first: str, last: str, org_id: int | None) -> list[dict[str, Any]]:
    domain = draft.domains[org_id] if org_id else None
    addresses = [(draft.people.email(rng, first, last, domain), "work" if domain else "home")]
    if rng.random() < 0.12:
        addresses.append((draft.people.email(rng, first, last, None), "home"))
    return [
        {"value": address, "primary": place == 0, "label": label}
        for place, (address, label) in enumerate(addresses)
    ]


def _phones(draft: Draft, rng: Random) -> list[dict[str, Any]]:
    count = 0 if rng.random() < 0.12 else 2 if rng.random() < 0.15 else 1
    return [
        {
            "value": draft.people.phone(rng),
            "primary": place == 0,
            "label": ("mobile", "work")[place],
        }
        for place in range(count)
    ]
