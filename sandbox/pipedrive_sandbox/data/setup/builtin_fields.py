"""The built-in fields of every account, as the v2 Fields API lists them."""

import re
from typing import Any

from pipedrive_sandbox.data.contacts.records import INDUSTRIES, ORGANIZATION_LABELS, PERSON_LABELS
from pipedrive_sandbox.data.draft import Record
from pipedrive_sandbox.data.sales.deals import CHANNELS, DEAL_LABELS
from pipedrive_sandbox.data.sales.journey import LOST_REASONS
from pipedrive_sandbox.data.setup.reference import ACTIVITY_TYPES
from pipedrive_sandbox.data.work.activities import OUTCOMES, PRIORITIES

_ADDRESS = {
    "value": "Address value", "street_number": "House number", "route": "Street/road name",
    "subpremise": "Apartment/suite", "sublocality": "District", "locality": "City/town",
    "admin_area_level_1": "State/province", "admin_area_level_2": "County", "country": "Country",
    "postal_code": "Postal code", "formatted_address": "Formatted address",
}  # fmt: skip
SUBFIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "address": {code: (name, "varchar") for code, name in _ADDRESS.items()},
    "monetary": {"value": ("Amount", "double"), "currency": ("Currency", "varchar")},
    "daterange": {"value": ("Start date", "date"), "until": ("End date", "date")},
    "time": {"value": ("Time", "time"), "timezone_id": ("Timezone", "int")},
    "timerange": {
        "value": ("Start time", "time"),
        "until": ("End time", "time"),
        "timezone_id": ("Timezone", "int"),
    },
}

_VISIBILITY = {1: "Item owner", 3: "Item owner's visibility group", 7: "Entire company"}
_STATUSES = {"open": "Open", "won": "Won", "lost": "Lost", "deleted": "Deleted"}
_FREQUENCIES = (
    "one-time", "annually", "semi-annually", "quarterly", "monthly", "weekly",
)  # fmt: skip

# entity: "code:type" per field; "?" marks fields that only include_fields returns
_TABLE = {
    "deal": """
        id:int title:varchar creator_user_id:user owner_id:user value:monetary person_id:people
        org_id:org stage_id:stage pipeline_id:int currency:varchar archive_time:date add_time:date
        update_time:date stage_change_time:date status:status is_archived:boolean
        is_deleted:boolean probability:int lost_reason:varchar_options visible_to:visible_to
        close_time:date won_time:date lost_time:date local_won_date:date local_lost_date:date
        local_close_date:date expected_close_date:date label_ids:set origin:varchar
        origin_id:varchar channel:enum channel_id:varchar arr:double mrr:double acv:double
        next_activity_id:activity? last_activity_id:activity? first_won_time:date?
        products_count:int? files_count:int? notes_count:int? followers_count:int?
        email_messages_count:int? activities_count:int? done_activities_count:int?
        undone_activities_count:int? participants_count:int? last_incoming_mail_time:date?
        last_outgoing_mail_time:date? smart_bcc_email:varchar? source_lead_id:lead?
    """,
    "person": """
        id:int name:varchar first_name:varchar last_name:varchar owner_id:user org_id:org
        add_time:date update_time:date emails:varchar phones:phone is_deleted:boolean
        visible_to:visible_to label_ids:set picture_id:picture postal_address:address notes:text
        im:varchar birthday:date job_title:varchar next_activity_id:activity?
        last_activity_id:activity? open_deals_count:int? related_open_deals_count:int?
        closed_deals_count:int? related_closed_deals_count:int? participant_open_deals_count:int?
        participant_closed_deals_count:int? email_messages_count:int? activities_count:int?
        done_activities_count:int? undone_activities_count:int? files_count:int? notes_count:int?
        followers_count:int? won_deals_count:int? related_won_deals_count:int?
        lost_deals_count:int? related_lost_deals_count:int? last_incoming_mail_time:date?
        last_outgoing_mail_time:date? marketing_status:varchar? doi_status:int?
        smart_bcc_email:varchar?
    """,
    "organization": """
        id:int name:varchar owner_id:user add_time:date update_time:date is_deleted:boolean
        visible_to:visible_to address:address label_ids:set website:varchar linkedin:varchar
        industry:enum annual_revenue:double employee_count:int next_activity_id:activity?
        last_activity_id:activity? open_deals_count:int? related_open_deals_count:int?
        closed_deals_count:int? related_closed_deals_count:int? email_messages_count:int?
        people_count:int? activities_count:int? done_activities_count:int?
        undone_activities_count:int? files_count:int? notes_count:int? followers_count:int?
        won_deals_count:int? related_won_deals_count:int? lost_deals_count:int?
        related_lost_deals_count:int? smart_bcc_email:varchar?
    """,
    "product": """
        id:int name:varchar code:varchar unit:varchar tax:double is_deleted:boolean
        is_linkable:boolean visible_to:visible_to owner_id:user add_time:date update_time:date
        description:text category:varchar billing_frequency:billing_frequency
        billing_frequency_cycles:int prices:price_list
    """,
    "activity": """
        id:int subject:varchar type:enum owner_id:user creator_user_id:user is_deleted:boolean
        add_time:date update_time:date deal_id:deal lead_id:lead person_id:people org_id:org
        project_id:project due_date:date due_time:time duration:time busy:boolean done:boolean
        marked_as_done_time:date location:address participants:json attendees:json?
        conference_meeting_client:varchar conference_meeting_url:varchar
        conference_meeting_id:varchar public_description:text priority:enum note:text outcome:enum
    """,
    "project": """
        id:int title:varchar description:text status:status board_id:projects_board
        phase_id:projects_phase owner_id:user start_date:date end_date:date deal_ids:deals
        person_ids:people org_ids:org label_ids:set health_status:enum add_time:date
        update_time:date status_change_time:date archive_time:date
    """,
}

_OPTIONS: dict[tuple[str, str], dict[Any, str]] = {
    ("deal", "status"): _STATUSES,
    ("deal", "label_ids"): DEAL_LABELS,
    ("deal", "channel"): CHANNELS,
    ("deal", "lost_reason"): dict(enumerate(LOST_REASONS, 1)),
    ("person", "label_ids"): PERSON_LABELS,
    ("organization", "label_ids"): ORGANIZATION_LABELS,
    ("organization", "industry"): dict(enumerate(INDUSTRIES, 1)),
    ("product", "billing_frequency"): {code: code.capitalize() for code in _FREQUENCIES},
    ("activity", "type"): {key: name for name, key, *_ in ACTIVITY_TYPES},
    ("activity", "priority"): PRIORITIES,
    ("activity", "outcome"): OUTCOMES,
    ("project", "status"): {code: code.capitalize() for code in ("open", "completed", "canceled", "deleted")},
    ("project", "label_ids"): {1: "Prioritário", 2: "Piloto", 3: "Com parceiro"},
    ("project", "health_status"): {10: "On track", 20: "Needs attention", 30: "Off track"},
    **{(entity, "visible_to"): _VISIBILITY for entity in _TABLE if entity != "activity"},
}


def field(entity: str, code: str, name: str, kind: str, options: list[Record] | None, custom: bool) -> Record:
    """Return one field as GET /api/v2/{entity}Fields has it, with the keys that include_fields adds."""
    row: Record = {
        "field_name": name,
        "field_code": code,
        "description": "",
        "field_type": kind,
        "options": options,
        "subfields": [
            {"field_code": sub, "field_name": f"{label} of {name}", "field_type": sub_kind}
            for sub, (label, sub_kind) in SUBFIELDS[kind].items()
        ]
        if kind in SUBFIELDS
        else None,
        "is_custom_field": custom,
        "is_optional_response_field": False,
        "ui_visibility": {"add_visible_flag": custom, "details_visible_flag": True},
    }
    if entity in ("deal", "person", "organization", "project"):
        row["important_fields"] = {"enabled": False, "stage_ids": []}
        row["required_fields"] = {"enabled": False}
    if entity == "deal":
        row["ui_visibility"] |= {
            "projects_detail_visible_flag": False,
            "show_in_pipelines": {"show_in_all": True, "pipeline_ids": []},
        }
        row["required_fields"] |= {"stage_ids": [], "statuses": {}}
    elif entity in ("person", "organization"):
        row["ui_visibility"]["show_in_add_deal_dialog"] = {"show": False, "order": None}
    return row


def builtin_fields(entity: str) -> list[Record]:
    """Return the built-in fields of an entity; in the API their options have no times."""
    rows = []
    for entry in _TABLE[entity].split():
        code, kind = entry.rstrip("?").split(":")
        options = _OPTIONS.get((entity, code))
        name = "ID" if code == "id" else re.sub("_ids?$", "", code).replace("_", " ").capitalize()
        listed = options and [
            {"id": key, "label": label, "color": None, "add_time": None, "update_time": None}
            for key, label in options.items()
        ]
        row = field(entity, code, name, kind, listed or None, custom=False)
        row["is_optional_response_field"] = entry.endswith("?")
        rows.append(row)
    return rows
