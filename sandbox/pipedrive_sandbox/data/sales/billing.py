"""Payment of deals with products: installments and additional discounts."""

from decimal import Decimal

from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.reference import rounded, seeded_uuid
from pipedrive_sandbox.data.times import DAY, date_text

_IN_INSTALLMENTS = 0.3
_DISCOUNTED = 0.1
_REASONS = ("Desconto à vista", "Campanha de fim de ano", "Partner discount", "10%", "")


def _with_products(draft: Draft) -> list[Record]:
    return [deal for deal in draft.records["deals"] if deal["products_count"]]


def installments(draft: Draft) -> list[Record]:
    """GET /api/v2/deals/installments: the value of a deal in two to six monthly parts.

    The API has none for deals with recurring products.
    """
    rng = draft.rng("installments")
    recurring = {
        line["deal_id"] for line in draft.records["deal_products"] if line["billing_frequency"] != "one-time"
    }
    deals = [deal for deal in _with_products(draft) if deal["id"] not in recurring]
    rows: list[Record] = []
    for deal in rng.sample(deals, max(min(2, len(deals)), int(_IN_INSTALLMENTS * len(deals)))):
        count = 2 + int(rng.random() * 5)
        left = int(Decimal(str(deal["value"])) * 100)
        part = rounded(left // count, deal["currency"])
        for place in range(count):
            amount = left if place == count - 1 else part
            left -= amount
            rows.append(
                {
                    "id": len(rows) + 1,
                    "amount": money(amount),
                    "billing_date": date_text(deal["add_time"] + (15 + 30 * place) * DAY),
                    "description": "" if rng.random() < 0.1 else f"Parcela {place + 1}/{count}",
                    "deal_id": deal["id"],
                }
            )
    return rows


def discounts(draft: Draft) -> list[Record]:
    """GET /api/v2/deals/{id}/discounts: one or two, besides those of the line items."""
    rng, season = draft.rng("discounts"), draft.season
    deals = _with_products(draft)
    rows: list[Record] = []
    for deal in rng.sample(deals, max(min(2, len(deals)), int(_DISCOUNTED * len(deals)))):
        for _ in range(1 + (rng.random() < 0.2)):
            by_amount = rng.random() < 0.4
            added = season.edited(rng, deal["add_time"], 20, 0.8)
            rows.append(
                {
                    "id": seeded_uuid(rng),
                    "description": pick(rng, _REASONS),
                    "amount": pick(rng, (50, 100, 250.5)) if by_amount else pick(rng, (5, 10, 12.5)),
                    "type": "amount" if by_amount else "percentage",
                    "deal_id": deal["id"],
                    "created_at": added,
                    "created_by": deal["owner_id"],
                    "updated_at": season.edited(rng, added, 30, 0.3),
                    "updated_by": deal["owner_id"],
                }
            )
    return rows
