"""The small lists of an account: users, pipelines, stages, products, currencies, types, labels."""

import uuid
from random import Random
from typing import NamedTuple

from pipedrive_sandbox.data.contacts.people import slug
from pipedrive_sandbox.data.draft import Draft, Record, money
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.times import DAY, HOUR, OFFICE_TIMEZONE

COMPANY_DOMAIN = "sandbox"


class StagePlan(NamedTuple):
    """The usual course of a deal in a stage."""

    name: str
    probability: int
    days: float
    conversion: float


class PipelinePlan(NamedTuple):
    """A pipeline with its share of the deals, the currencies of its deals, and its stages."""

    name: str
    share: float
    currencies: dict[str, float]
    stages: tuple[StagePlan, ...]


PIPELINES = (
    PipelinePlan(
        "Vendas Brasil",
        0.58,
        {"BRL": 0.97, "USD": 0.03},
        (
            StagePlan("Qualificação", 10, 4, 0.80),
            StagePlan("Contato feito", 20, 7, 0.76),
            StagePlan("Demonstração agendada", 40, 9, 0.77),
            StagePlan("Proposta enviada", 60, 13, 0.70),
            StagePlan("Negociação", 80, 11, 0.74),
        ),
    ),
    PipelinePlan(
        "Enterprise",
        0.24,
        {"USD": 0.5, "EUR": 0.3, "BRL": 0.14, "JPY": 0.06},
        (
            StagePlan("Lead in", 5, 6, 0.78),
            StagePlan("Discovery", 15, 12, 0.76),
            StagePlan("Technical validation", 30, 18, 0.78),
            StagePlan("Business case", 45, 16, 0.8),
            StagePlan("Proposal", 60, 14, 0.75),
            StagePlan("Legal review", 80, 21, 0.86),
            StagePlan("Contract sent", 90, 9, 0.85),
        ),
    ),
    PipelinePlan(
        "Renovações e expansão",
        0.18,
        {"BRL": 0.72, "USD": 0.15, "EUR": 0.09, "PTS": 0.04},
        (
            StagePlan("Vencimento em 90 dias", 40, 20, 0.92),
            StagePlan("Reunião de sucesso", 50, 14, 0.9),
            StagePlan("Proposta de renovação", 65, 12, 0.86),
            StagePlan("Negociação", 80, 9, 0.87),
            StagePlan("Assinatura", 90, 6, 0.94),
            StagePlan("Upsell", 95, 10, 0.9),
        ),
    ),
)

# code, name, decimals, symbol, custom, value of one Brazilian real
CURRENCIES = (
    ("BRL", "Brazilian Real", 2, "R$", False, 1.0),
    ("USD", "US Dollar", 2, "$", False, 0.19),
    ("EUR", "Euro", 2, "€", False, 0.17),
    ("JPY", "Japanese Yen", 0, "¥", False, 28.0),
    ("GBP", "British Pound Sterling", 2, "£", False, 0.14),
    ("ARS", "Argentine Peso", 2, "AR$", False, 180.0),
    ("CLP", "Chilean Peso", 0, "CLP$", False, 175.0),
    ("PTS", "Pontos de fidelidade", 0, "pts", True, 10.0),
)
DECIMALS: dict[str, int] = {row[0]: row[2] for row in CURRENCIES}
RATES: dict[str, float] = {row[0]: row[5] for row in CURRENCIES}

# name, key_string, icon_key, custom
ACTIVITY_TYPES = (
    ("Call", "call", "call", False),
    ("Meeting", "meeting", "meeting", False),
    ("Task", "task", "task", False),
    ("Deadline", "deadline", "deadline", False),
    ("Email", "email", "email", False),
    ("Lunch", "lunch", "lunch", False),
    ("WhatsApp", "whatsapp", "bubble", True),
    ("Visita técnica", "visita_tecnica", "camera", True),
)

_LEAD_LABELS = (
    ("Quente", "red"), ("Morno", "yellow"), ("Frio", "blue"),
    ("Inbound", "green"), ("Evento", "purple"), ("Partner", "orange"),
)  # fmt: skip
_FILTERS = (
    ("All open deals", "deals"), ("Negócios ganhos este mês", "deals"), ("My leads", "leads"),
    ("Clientes ativos", "org"), ("Pessoas sem e-mail", "people"), ("Atrasadas", "activity"),
    ("Catálogo 2026", "products"), ("Projetos em atraso", "projects"),
)  # fmt: skip
_PRODUCT_LINES = {
    "Software": ("Licença CRM", "Módulo fiscal", "Portal do cliente", "API Gateway", "BI Analytics"),
    "Serviços": ("Implantação", "Treinamento", "Consultoria", "Suporte premium", "Migração de dados"),
    "Hardware": ("Coletor de dados", "Leitor RFID", "Impressora térmica", "Tablet robusto"),
    "Saúde": ("Prontuário eletrônico", "Telemedicina", "Agenda médica"),
}
_PRODUCT_SIZES = ("Básico", "Plus", "Pro", "Enterprise", "Anual", "Mensal", "200 usuários")
_RECURRING = {"Software": ("monthly", "annually", "quarterly"), "Saúde": ("monthly", "annually")}
_CYCLES = {"monthly": (6, 12), "quarterly": (3, 4), "annually": (1, 2)}
_PRICED_IN = ("BRL", "USD", "EUR", "JPY", "PTS")


def rounded(cents: float, currency: str) -> int:
    """Return cents rounded to what the currency can express: whole units if it has no decimals."""
    return round(cents) if DECIMALS[currency] else round(cents / 100) * 100


def seeded_uuid(rng: Random) -> str:
    """Return a version 4 UUID from the seeded random generator."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def users(draft: Draft) -> list[Record]:
    """Return 8 to 15 users (GET /v1/users); from the sixth on, every fourth has left the company."""
    rng = draft.rng("users")
    permission_sets = [seeded_uuid(rng) for _ in range(3)]
    created = draft.season.start - 300 * DAY
    rows = []
    for number in range(max(8, min(15, 7 + draft.deals // 1_500))):
        first, last = draft.people.person(rng)
        created += int(rng.random() * 60 * DAY)
        left = number > 5 and number % 4 == 2
        modified = draft.now - int((200 if left else 20) * rng.random() * DAY)
        apps = ("sales", "global", "account_settings") if number < 2 else ("sales", "global")
        rows.append(
            {
                "id": 13_000_001 + number * 317,
                "name": f"{first} {last}",
                "default_currency": "BRL" if number % 3 else "USD",
                "locale": "pt_BR" if number % 3 else "en_US",
                "lang": 12 if number % 3 else 1,
                "email": f"{slug(first)}.{slug(last)}{number}@{COMPANY_DOMAIN}.example",
                "phone": draft.people.phone(rng) if number % 2 else None,
                "activated": True,
                "last_login": modified,
                "created": created,
                "modified": modified,
                "has_created_company": number == 0,
                "access": [
                    {"app": app, "admin": number < 2, "permission_set_id": permission_set}
                    for app, permission_set in zip(apps, permission_sets, strict=False)
                ],
                "active_flag": not left,
                "timezone_name": OFFICE_TIMEZONE,
                "timezone_offset": "-03:00",
                "role_id": (1, 1, 2, 3, 3, 4)[number] if number < 6 else 3 + number % 2,
                "icon_url": None,
                "is_you": number == 0,
                "is_deleted": left and number % 8 == 2,
            }
        )
    return rows


def pipelines_and_stages(draft: Draft) -> tuple[list[Record], list[Record]]:
    """GET /api/v2/pipelines and /stages."""
    rng = draft.rng("pipelines")
    pipelines: list[Record] = []
    stages: list[Record] = []
    for number, plan in enumerate(PIPELINES, 1):
        born = draft.season.start - 200 * DAY + number * HOUR
        pipelines.append(
            {
                "id": number,
                "name": plan.name,
                "order_nr": number,
                "is_deleted": False,
                "is_deal_probability_enabled": number != 3,
                "add_time": born,
                "update_time": draft.season.edited(rng, born, 400, 1),
            }
        )
        for order, stage in enumerate(plan.stages, 1):
            stages.append(
                {
                    "id": len(stages) + 1,
                    "order_nr": order,
                    "name": stage.name,
                    "is_deleted": False,
                    "deal_probability": stage.probability,
                    "pipeline_id": number,
                    "is_deal_rot_enabled": order > 2,
                    "days_to_rotten": int(stage.days * 3) if order > 2 else None,
                    "add_time": born + order,
                    "update_time": draft.season.edited(rng, born + order, 700, 0.7),
                }
            )
    return pipelines, stages


def products(draft: Draft) -> list[Record]:
    """GET /api/v2/products: about 60 for 10,000 deals, with prices in every currency of deals."""
    rng = draft.rng("products")
    owners = [user["id"] for user in draft.records["users"] if user["active_flag"]]
    names = [
        (line, f"{base} {size}")
        for size in _PRODUCT_SIZES
        for line, bases in _PRODUCT_LINES.items()
        for base in bases
    ]
    rows = []
    for number, (line, name) in enumerate(names[: max(12, min(100, 12 + draft.deals // 200))], 1):
        born = draft.season.start - int(rng.random() * 100 * DAY)
        price = round(10 ** (2.2 + rng.random() * 2)) * 100 - 10
        recurring = line in _RECURRING
        length = pick(rng, (None, 0, 1)) if recurring else None
        rows.append(
            {
                "id": number,
                "name": name,
                "code": f"{slug(line)[:2].upper()}-{number:04d}" if rng.random() < 0.9 else None,
                "unit": pick(rng, ("un", "h", "mês", "")),
                "tax": pick(rng, (0, 0, 5, 9.25, 17)),
                "is_deleted": False,
                "is_linkable": True,
                "visible_to": 3,
                "owner_id": pick(rng, owners),
                "add_time": born,
                "update_time": draft.season.edited(rng, born, 800, 0.8),
                "description": pick(rng, draft.people.phrases) if rng.random() < 0.6 else None,
                "category": line,
                "billing_frequency": (frequency := pick(rng, _RECURRING[line]) if recurring else "one-time"),
                "billing_frequency_cycles": None if length is None else _CYCLES[frequency][length],
                "prices": [
                    {
                        "product_id": number,
                        "price": money(rounded(price * RATES[currency], currency)),
                        "currency": currency,
                        "cost": money(rounded(price * RATES[currency] * 0.4, currency)),
                        "direct_cost": None,
                        "notes": "",
                    }
                    for currency in _PRICED_IN
                ],
                "custom_fields": {},
            }
        )
    return rows


def activity_types(draft: Draft) -> list[Record]:
    """GET /v1/activityTypes: the standard ones and two custom ones."""
    born = draft.season.start - 250 * DAY
    return [
        {
            "id": number,
            "order_nr": number,
            "name": name,
            "key_string": key,
            "icon_key": icon,
            "active_flag": True,
            "color": "FFFFFF",
            "is_custom_flag": custom,
            "add_time": born + number,
            "update_time": born + number,
        }
        for number, (name, key, icon, custom) in enumerate(ACTIVITY_TYPES, 1)
    ]


def currencies() -> list[Record]:
    """GET /v1/currencies."""
    return [
        {
            "id": number,
            "code": code,
            "name": name,
            "decimal_points": decimals,
            "symbol": symbol,
            "active_flag": True,
            "is_custom_flag": custom,
        }
        for number, (code, name, decimals, symbol, custom, _) in enumerate(CURRENCIES, 1)
    ]


def lead_labels(draft: Draft) -> list[Record]:
    """GET /v1/leadLabels."""
    rng = draft.rng("lead_labels")
    born = draft.season.start - 100 * DAY
    return [
        {
            "id": seeded_uuid(rng),
            "name": name,
            "color": color,
            "add_time": born,
            "update_time": draft.season.edited(rng, born, 300, 0.5),
        }
        for name, color in _LEAD_LABELS
    ]


def filters(draft: Draft) -> list[Record]:
    """GET /v1/filters: at least one for every list with a parameter filter_id."""
    rng = draft.rng("filters")
    born = draft.season.start
    return [
        {
            "id": number,
            "name": name,
            "filter_code": None,
            "is_editable": True,
            "active_flag": True,
            "type": kind,
            "temporary_flag": None,
            "user_id": draft.records["users"][0]["id"],
            "add_time": born,
            "update_time": draft.season.edited(rng, born, 600, 0.5),
            "visible_to": "7",
            "last_used_time": None,
            "custom_view_id": None,
            "conditions": {
                "glue": "and",
                "conditions": [
                    {"glue": "and", "conditions": [_condition(number, kind)]},
                    {"glue": "or", "conditions": []},
                ],
            },
        }
        for number, (name, kind) in enumerate(_FILTERS, 1)
    ]


def _condition(number: int, kind: str) -> Record:
    return {
        "object": kind.removesuffix("s"),
        "field_id": str(12_000 + number),
        "operator": "IS NOT NULL",
        "value": None,
        "extra_value": None,
        "json_value_flag": False,
        "field_code": "update_time",
    }
