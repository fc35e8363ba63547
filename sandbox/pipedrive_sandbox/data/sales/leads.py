"""Leads in the inbox and in its archive; converted leads are gone, and their deals have their ids."""

from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.sales.deals import CHANNELS, ORIGINS, Directory
from pipedrive_sandbox.data.setup.reference import COMPANY_DOMAIN, RATES, rounded, seeded_uuid
from pipedrive_sandbox.data.times import DAY, date_text

LEADS_PER_DEAL = 0.25
_ARCHIVED = 0.4
_SOURCES = ("Manually created", "Web forms", "API", "Import", "Chatbot", "Prospector")
_TOPICS = ("Interesse em demonstração", "Contato pelo site", "Inbound request", "Indicação", "Feira")


def leads(draft: Draft) -> list[Record]:
    """GET /v1/leads and /v1/leads/archived; old leads are mostly archived."""
    rng, season = draft.rng("leads"), draft.season
    directory = Directory(draft)
    staff = [user["id"] for user in draft.records["users"] if user["active_flag"]]
    labels = [label["id"] for label in draft.records["lead_labels"]]
    rows = []
    for born in sorted(season.moment(rng) for _ in range(max(12, int(draft.deals * LEADS_PER_DEAL)))):
        org, person = directory.customer(rng, born)
        lonely = rng.random() < 0.1
        currency = pick(rng, ("BRL", "BRL", "BRL", "USD", "EUR"))
        amount = rounded(round(rng.lognormvariate(9, 1) * RATES[currency], -2) * 100, currency)
        owner = pick(rng, staff)
        lead_id = seeded_uuid(rng)
        age = (draft.now - born) / DAY
        rows.append(
            {
                "id": lead_id,
                "title": f"{person['name'] if lonely else org['name']} - {pick(rng, _TOPICS)}",
                "owner_id": owner,
                "creator_id": owner if rng.random() < 0.7 else pick(rng, staff),
                "label_ids": [pick(rng, labels)] if rng.random() < 0.6 else [],
                "person_id": person["id"],
                "organization_id": None if lonely else org["id"],
                "source_name": pick(rng, _SOURCES),
                "origin": weighted(rng, ORIGINS),
                "origin_id": None,
                "channel": pick(rng, tuple(CHANNELS)) if rng.random() < 0.4 else None,
                "channel_id": None,
                "source_deal_id": None,
                "is_archived": rng.random() < (_ARCHIVED * 1.2 if age > 60 else _ARCHIVED / 4),
                "was_seen": rng.random() < 0.85,
                "value": {"amount": money(amount), "currency": currency} if rng.random() < 0.6 else None,
                "expected_close_date": date_text(born + int((20 + rng.random() * 90) * DAY))
                if rng.random() < 0.4
                else None,
                "next_activity_id": None,
                "add_time": born,
                "update_time": season.edited(rng, born, 60, 0.6),
                "visible_to": "3",
                "cc_email": f"{COMPANY_DOMAIN}+lead{lead_id[:8]}@pipedrivemail.com",
                "custom_fields": {},
            }
        )
    return rows
