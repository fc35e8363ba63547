"""Related organizations, and variations of products."""

from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.reference import RATES, rounded

_RELATED = 0.05
_VARIED = 0.4
_VARIATIONS = ("Básica", "Com suporte", "Upgrade", "Pacote 10+")
_PRICED_IN = ("BRL", "USD")


def organization_relationships(draft: Draft) -> list[Record]:
    """GET /v1/organizationRelationships of all organizations: parent companies, and other relationships."""
    rng, season = draft.rng("relationships"), draft.season
    organizations = draft.records["organizations"]
    rows: list[Record] = []
    for _ in range(max(3, int(_RELATED * len(organizations)))):
        owner, linked = rng.sample(organizations, 2)
        born = season.edited(rng, max(owner["add_time"], linked["add_time"]), 200, 0.9)
        rows.append(
            {
                "id": len(rows) + 1,
                "type": pick(rng, ("parent", "parent", "related")),
                "rel_owner_org_id": owner["id"],
                "rel_linked_org_id": linked["id"],
                "add_time": born,
                "update_time": season.edited(rng, born, 60, 0.1),
                "active_flag": "true",
            }
        )
    return rows


def product_variations(draft: Draft) -> list[Record]:
    """GET /api/v2/products/{id}/variations: some products have two to four variations."""
    rng = draft.rng("variations")
    rows: list[Record] = []
    for product in draft.records["products"]:
        if rng.random() >= _VARIED:
            continue
        base = 5_000 + int(rng.random() * 500_000)
        for name in _VARIATIONS[: 2 + int(rng.random() * 3)]:
            number = len(rows) + 1
            rows.append(
                {
                    "id": number,
                    "name": name,
                    "product_id": product["id"],
                    "prices": [
                        {
                            "product_variation_id": number,
                            "price": money(rounded(base * RATES[currency], currency)),
                            "currency": currency,
                            "cost": money(rounded(base * RATES[currency] * 0.3, currency)),
                            "direct_cost": None,
                            "notes": "",
                        }
                        for currency in _PRICED_IN
                    ],
                }
            )
    return rows
