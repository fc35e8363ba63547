"""Features that a company may lack, and the refusals for them."""

from __future__ import annotations

from pipedrive_sandbox.records.refusals import Refusal

FEATURES = {
    "projects": "add-on Projects: projects, boards, phases, templates, tasks and their fields",
    "campaigns": "add-on Campaigns: marketing_status and doi_status of persons",
    "installments": "Growth plan and up: installments of deals",
    "mailbox": "Growth plan and up: mail threads and messages",
    "calls": "a phone integration: call logs",
    "goals": "insights and goals",
}
"""Features by name; `campaigns` leaves keys out, the others switch endpoints off."""

ADD_ONS = ("projects", "calls")


def lacking(feature: str) -> Refusal:
    """Return the refusal of an endpoint whose feature is off: 415 for add-ons, 403 for plans."""
    if feature in ADD_ONS:
        return Refusal(415, "Feature is not enabled")
    return Refusal(403, "This feature is not available in your plan", code="ERR_FORBIDDEN")


def not_an_admin() -> Refusal:
    """Return the refusal of an endpoint for administrators."""
    return Refusal(403, "You do not have permissions to do this.")
