"""The company's set-up: roles, permission sets, goals, webhooks, lead sources."""

from collections import Counter

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.setup.reference import seeded_uuid
from pipedrive_sandbox.data.times import DAY, date_text
from pipedrive_sandbox.records.model import COMPANY_ID, GOAL_TYPES

_PER_DEAL = {
    "deals_won": 0.33, "deals_progressed": 0.4, "activities_completed": 1.5, "activities_added": 1.6,
    "deals_started": 1.0,
}  # fmt: skip
_IN_MONTHS = {"weekly": 0.23, "monthly": 1.0, "quarterly": 3.0, "yearly": 12.0}
_USUAL_VALUE = 30_000

LEAD_SOURCES = (
    "Manually created", "Deal", "Web forms", "Prospector", "Leadbooster", "Live chat", "Import",
    "Website visitors", "Workflow automation", "API",
)  # fmt: skip

_ROLES = (
    ("Diretoria", None, 1), ("Vendas", 1, 2), ("Inside sales", 2, 3), ("Enterprise", 2, 3), ("Parceiros", 2, 3),
)  # fmt: skip
_PERMISSION_SETS = {
    "sales": ("Deals regular user", "Access to sales data may be limited", "regular"),
    "global": ("Global regular user", "", "regular"),
    "account_settings": ("Account settings", "Billing, security and users", "admin"),
}
_UNASSIGNED_SETS = (
    ("projects", "Projects regular user", "", "regular"),
    ("sales", "Somente leitura", "Criado pela TI", "custom"),
)


def lead_sources() -> list[Record]:
    """GET /v1/leadSources, which is the same in every account."""
    return [{"id": number, "name": name} for number, name in enumerate(LEAD_SOURCES, 1)]


def roles(draft: Draft) -> list[Record]:
    """GET /v1/roles; the last one has no users."""
    assigned = Counter(user["role_id"] for user in draft.records["users"])
    return [
        {
            "id": number,
            "parent_role_id": parent,
            "name": name,
            "active_flag": True,
            "assignment_count": str(assigned[number]),
            "sub_role_count": str(sum(role[1] == number for role in _ROLES)),
            "level": level,
        }
        for number, (name, parent, level) in enumerate(_ROLES, 1)
    ]


def permission_sets(draft: Draft) -> list[Record]:
    """GET /v1/permissionSets: those of the users, and some without users."""
    rng = draft.rng("permission sets")
    access = [entry for user in draft.records["users"] for entry in user["access"]]
    assigned = Counter(entry["permission_set_id"] for entry in access)
    apps = {entry["permission_set_id"]: entry["app"] for entry in access}
    known = [(id_, app, *_PERMISSION_SETS[app]) for id_, app in apps.items()]
    return [
        {
            "id": id_,
            "name": name,
            "description": description,
            "app": app,
            "type": kind,
            "assignment_count": assigned[id_],
        }
        for id_, app, name, description, kind in [
            *known,
            *((seeded_uuid(rng), *unassigned) for unassigned in _UNASSIGNED_SETS),
        ]
    ]


def goals(draft: Draft) -> list[Record]:
    """GET /v1/goals/find: goals of the company and of single users, some of them past."""
    rng, records = draft.rng("goals"), draft.records
    staff = [user["id"] for user in records["users"] if user["active_flag"]]
    pipelines = [row["id"] for row in records["pipelines"]]
    rows = []
    for place, name in enumerate(GOAL_TYPES * 3):
        about_activities = name.startswith("activities")
        params: Record = {"pipeline_id": pipelines[:2] if place % 2 else None}
        if about_activities:
            params = {
                "pipeline_id": None,
                "activity_type_id": [row["id"] for row in records["activity_types"][:2]],
            }
        elif name == "deals_progressed":
            params["stage_id"] = records["stages"][3]["id"]
        by_value = name in ("deals_won", "deals_started") and place % 3 == 0
        company, ambition = place % 3 == 0, 0.75 + rng.random() * 0.5
        over = place % 5 == 4
        begun = draft.season.start + int(rng.random() * 300 * DAY)
        goal: Record = {
            "id": f"{rng.getrandbits(128):032x}",
            "owner_id": staff[0],
            "title": f"Meta {place + 1}: {name.replace('_', ' ')}",
            "type": {"name": name, "params": params},
            "assignee": {"type": "company", "id": 1}
            if company
            else {"type": "person", "id": staff[0] if place == 1 else pick(rng, staff)},
            "interval": pick(rng, tuple(_IN_MONTHS)),
            "duration": {
                "start": date_text(begun),
                "end": date_text(begun + 365 * DAY) if over or place % 2 else None,
            },
            "is_active": not over,
            "report_ids": [f"{rng.getrandbits(128):032x}"],
        }
        usual = draft.deals / 24 * _PER_DEAL[name] * _IN_MONTHS[goal["interval"]]
        target = max(1, round(usual * ambition / (1 if company else len(staff))))
        goal["expected_outcome"] = (
            {"target": target * _USUAL_VALUE, "tracking_metric": "sum", "currency_id": 1}
            if by_value
            else {"target": target, "tracking_metric": "quantity"}
        )
        rows.append(goal)
    return rows


# action, object, is_active, reason of removal, last status
_WEBHOOKS = (
    ("*", "*", 1, None, 200),
    ("change", "deal", 1, None, None),
    ("delete", "person", 0, "Banned after 10 failed attempts", 500),
)


def webhooks(draft: Draft) -> list[Record]:
    """GET /v1/webhooks; one is banned."""
    rng = draft.rng("webhooks")
    admin = draft.records["users"][0]["id"]
    rows = []
    for number, (action, entity, active, reason, status) in enumerate(_WEBHOOKS, 1):
        born = draft.season.moment(rng)
        rows.append(
            {
                "id": number,
                "company_id": COMPANY_ID,
                "owner_id": admin,
                "user_id": admin,
                "event_action": action,
                "event_object": entity,
                "subscription_url": f"https://hooks.sandbox.example/{action.strip('*') or 'all'}/{number}",
                "version": "2.0",
                "is_active": active,
                "add_time": born,
                "remove_time": draft.now - DAY if reason else None,
                "type": "general",
                "http_auth_user": None,
                "http_auth_password": None,
                "remove_reason": reason,
                "last_delivery_time": draft.now - DAY if status else None,
                "last_http_status": status,
                "admin_id": admin,
                "name": f"Integração {number}",
            }
        )
    return rows
