"""Line items of deals: prices, discounts, taxes, and recurring amounts."""

from random import Random
from typing import Any

from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.reference import rounded
from pipedrive_sandbox.data.times import date_text

_PER_MONTH = {
    "one-time": 0.0,
    "weekly": 52 / 12,
    "monthly": 1.0,
    "quarterly": 1 / 3,
    "semi-annually": 1 / 6,
    "annually": 1 / 12,
}


def line_items(draft: Draft, rng: Random, deal_id: int, born: int, currency: str, taken: int) -> list[Record]:
    """Return one to four lines; `cents`, removed at the end, is what a line adds to the deal's value."""
    lines: list[Record] = []
    for place in range(1, 2 + int(rng.random() ** 2 * 4)):
        product = pick(rng, draft.records["products"])
        price = next(p["price"] for p in product["prices"] if p["currency"] == currency)
        quantity = pick(rng, (1, 1, 1, 2, 3, 5, 10, 25, 0.5))
        by_amount = rng.random() < 0.15
        gross = price * 100 * quantity
        discount: float
        if by_amount:
            discount = int(price * quantity * 0.1)
            cents = rounded(gross - discount * 100, currency)
        else:
            discount = pick(rng, (0, 0, 0, 0, 5, 10, 12.5, 20))
            cents = rounded(gross * (100 - discount) / 100, currency)
        method = pick(rng, ("none", "none", "inclusive", "exclusive"))
        tax = 0 if method == "none" else product["tax"]
        if method == "exclusive":
            cents = rounded(cents * (100 + tax) / 100, currency)
        added = draft.season.edited(rng, born, 10, 0.7)
        lines.append(
            {
                "id": taken + place,
                "sum": money(cents),
                "tax": tax,
                "deal_id": deal_id,
                "name": product["name"],
                "product_id": product["id"],
                "product_variation_id": None,
                "order_nr": place,
                "add_time": added,
                "update_time": draft.season.edited(rng, added, 40, 0.3),
                "comments": "Condição especial" if rng.random() < 0.08 else "",
                "currency": currency,
                "discount": discount,
                "quantity": quantity,
                "item_price": price,
                "tax_method": method,
                "discount_type": "amount" if by_amount else "percentage",
                "is_enabled": True,
                "billing_frequency": product["billing_frequency"],
                "billing_frequency_cycles": product["billing_frequency_cycles"],
                "billing_start_date": None
                if product["billing_frequency"] == "one-time"
                else date_text(added),
                "cents": cents,
            }
        )
    return lines


def recurring_revenue(lines: list[Record], currency: str) -> dict[str, Any]:
    """Return the deal's arr, mrr and acv, which are null without products."""
    if not lines:
        return {}
    monthly = sum(line["cents"] * _PER_MONTH[line["billing_frequency"]] for line in lines)
    once = sum(line["cents"] for line in lines if line["billing_frequency"] == "one-time")
    return {
        "arr": money(rounded(monthly * 12, currency)),
        "mrr": money(rounded(monthly, currency)),
        "acv": money(rounded(monthly * 12 + once, currency)),
    }
