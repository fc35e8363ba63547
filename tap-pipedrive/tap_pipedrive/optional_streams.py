"""Streams that are off by default: add-ons, administrators' matters, and what costs a call per record."""

from tap_pipedrive import entities
from tap_pipedrive.children import ChildListing, Parents
from tap_pipedrive.history import ChangeListing
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.stream import PipedriveStream

PROJECT_PARAMS = {"status": "open,completed,canceled,deleted"}

GOAL_TYPES = ("deals_won", "deals_started", "deals_progressed", "activities_completed", "activities_added")


class LeadSources(PipedriveStream):
    """Where leads come from."""

    name = "lead_sources"
    entity = entities.LeadSource
    primary_keys = ("name",)
    selected_by_default = False
    listings = (WholeListing("/api/v1/leadSources"),)


class Roles(PipedriveStream):
    """Visibility groups (administrators only)."""

    name = "roles"
    entity = entities.Role
    selected_by_default = False
    listings = (OffsetListing("/api/v1/roles", is_sortable=False),)


class PermissionSets(PipedriveStream):
    """What users may do (administrators only)."""

    name = "permission_sets"
    entity = entities.PermissionSet
    selected_by_default = False
    listings = (WholeListing("/api/v1/permissionSets"),)


class Filters(PipedriveStream):
    """Stored filters, without their conditions."""

    name = "filters"
    entity = entities.Filter
    selected_by_default = False
    listings = (WholeListing("/api/v1/filters"),)


class Goals(PipedriveStream):
    """Goals, current and past. Without a type, the API lists those of the token's user only."""

    name = "goals"
    entity = entities.Goal
    selected_by_default = False
    listings = tuple(
        WholeListing(
            "/api/v1/goals/find",
            name=f"{kind}, {'current' if is_active == 'true' else 'past'}",
            params={"type.name": kind, "is_active": is_active},
            inside="goals",
        )
        for kind in GOAL_TYPES
        for is_active in ("true", "false")
    )
    ignored_keys = frozenset({"type", "assignee", "duration", "expected_outcome"})


class Webhooks(PipedriveStream):
    """Webhooks, without what they log in with (administrators only)."""

    name = "webhooks"
    entity = entities.Webhook
    selected_by_default = False
    listings = (WholeListing("/api/v1/webhooks"),)
    ignored_keys = frozenset({"company_id", "http_auth_user", "http_auth_password", "version"})


class ProjectBoards(PipedriveStream):
    """Boards of projects (an add-on)."""

    name = "project_boards"
    entity = entities.ProjectBoard
    selected_by_default = False
    listings = (WholeListing("/api/v2/boards"),)


class ProjectPhases(PipedriveStream):
    """Phases on the boards of projects (an add-on)."""

    name = "project_phases"
    entity = entities.ProjectPhase
    selected_by_default = False
    listings = (
        ChildListing(
            WholeListing("/api/v2/phases"),
            Parents("project_boards", moved=None),
            key="board_id",
            many="board_id",
        ),
    )


class ProjectTemplates(PipedriveStream):
    """Templates of projects (an add-on)."""

    name = "project_templates"
    entity = entities.ProjectTemplate
    selected_by_default = False
    listings = (CursorListing("/api/v2/projectTemplates"),)


class Projects(PipedriveStream):
    """Projects, live and archived (an add-on)."""

    name = "projects"
    entity = entities.Project
    custom_fields_of = "project"
    selected_by_default = False
    listings = (
        CursorListing("/api/v2/projects", "live", params=PROJECT_PARAMS),
        CursorListing("/api/v2/projects/archived", "archived", params=PROJECT_PARAMS),
    )


class Tasks(PipedriveStream):
    """Tasks of projects (an add-on)."""

    name = "tasks"
    entity = entities.Task
    selected_by_default = False
    listings = (CursorListing("/api/v2/tasks"),)


class Files(PipedriveStream):
    """What is known of files, not what is in them."""

    name = "files"
    entity = entities.File
    replication_key = "update_time"
    selected_by_default = False
    listings = (OffsetListing("/api/v1/files", has_updated_since=False, limit=100),)
    ignored_keys = frozenset(
        {"deal_name", "lead_name", "org_name", "person_name", "product_name", "project_name"}
    )


class CallLogs(PipedriveStream):
    """Phone calls of the token's user."""

    name = "call_logs"
    entity = entities.CallLog
    selected_by_default = False
    listings = (OffsetListing("/api/v1/callLogs", is_sortable=False, limit=50),)
    ignored_keys = frozenset({"company_id"})


class MailThreads(PipedriveStream):
    """Conversations by e-mail of the token's user."""

    name = "mail_threads"
    entity = entities.MailThread
    selected_by_default = False
    listings = tuple(
        OffsetListing("/api/v1/mailbox/mailThreads", folder, params={"folder": folder}, is_sortable=False)
        for folder in ("inbox", "drafts", "sent", "archive")
    )
    ignored_keys = frozenset({"version"})


class DealInstallments(PipedriveStream):
    """Installments of deals (Growth plan and up); only a deal with line items can have any."""

    name = "deal_installments"
    entity = entities.DealInstallment
    selected_by_default = False
    listings = (
        ChildListing(
            CursorListing("/api/v2/deals/installments"),
            Parents("deals", count="products_count"),
            key="deal_id",
            batch=100,
            many="deal_ids",
        ),
    )


class ProductVariations(PipedriveStream):
    """Variations of products."""

    name = "product_variations"
    entity = entities.ProductVariation
    selected_by_default = False
    listings = (
        ChildListing(
            CursorListing("/api/v2/products/{id}/variations"), Parents("products"), key="product_id"
        ),
    )


class NoteComments(PipedriveStream):
    """Comments on notes."""

    name = "note_comments"
    entity = entities.NoteComment
    primary_keys = ("uuid",)
    selected_by_default = False
    listings = (
        ChildListing(
            OffsetListing("/api/v1/notes/{id}/comments", is_sortable=False), Parents("notes"), key="note_id"
        ),
    )
    ignored_keys = frozenset({"object_id", "object_type", "company_id"})


class MailMessages(PipedriveStream):
    """E-mails of the token's user, without their bodies."""

    name = "mail_messages"
    entity = entities.MailMessage
    selected_by_default = False
    listings = (
        ChildListing(
            WholeListing("/api/v1/mailbox/mailThreads/{id}/mailMessages"),
            Parents("mail_threads"),
            key="mail_thread_id",
        ),
    )
    ignored_keys = frozenset({"from", "to", "cc", "bcc"})


class OrganizationFollowers(PipedriveStream):
    """Users who follow organizations."""

    name = "organization_followers"
    entity = entities.OrganizationFollower
    primary_keys = ("organization_id", "user_id")
    selected_by_default = False
    listings = (
        ChildListing(
            CursorListing("/api/v2/organizations/{id}/followers"),
            Parents("organizations", count="followers_count"),
            key="organization_id",
        ),
    )


class PersonFollowers(PipedriveStream):
    """Users who follow persons."""

    name = "person_followers"
    entity = entities.PersonFollower
    primary_keys = ("person_id", "user_id")
    selected_by_default = False
    listings = (
        ChildListing(
            CursorListing("/api/v2/persons/{id}/followers"),
            Parents("persons", count="followers_count"),
            key="person_id",
        ),
    )


class DealFollowers(PipedriveStream):
    """Users who follow deals."""

    name = "deal_followers"
    entity = entities.DealFollower
    primary_keys = ("deal_id", "user_id")
    selected_by_default = False
    listings = (
        ChildListing(
            CursorListing("/api/v2/deals/{id}/followers"),
            Parents("deals", count="followers_count"),
            key="deal_id",
        ),
    )


class DealParticipants(PipedriveStream):
    """Persons who take part in deals."""

    name = "deal_participants"
    entity = entities.DealParticipant
    selected_by_default = False
    listings = (
        ChildListing(
            OffsetListing("/api/v1/deals/{id}/participants", is_sortable=False),
            Parents("deals", count="participants_count"),
            key="deal_id",
        ),
    )
    ignored_keys = frozenset({"person", "related_item_data", "related_item_id", "related_item_type"})


class DealDiscounts(PipedriveStream):
    """Additional discounts on deals with line items; elsewhere they have no effect."""

    name = "deal_discounts"
    entity = entities.DealDiscount
    selected_by_default = False
    listings = (
        ChildListing(
            WholeListing("/api/v2/deals/{id}/discounts"),
            Parents("deals", count="products_count"),
            key="deal_id",
        ),
    )


class OrganizationRelationships(PipedriveStream):
    """What organizations are to one another; each is listed with both of them."""

    name = "organization_relationships"
    entity = entities.OrganizationRelationship
    selected_by_default = False
    listings = (
        ChildListing(
            WholeListing("/api/v1/organizationRelationships"),
            Parents("organizations"),
            key="org_id",
            many="org_id",
        ),
    )
    ignored_keys = frozenset({"calculated_type", "calculated_related_org_id", "related_organization_name"})


class PersonChanges(PipedriveStream):
    """Changes of persons, field by field."""

    name = "person_changes"
    entity = entities.PersonChange
    primary_keys = ("change_id",)
    keeps_vanished = True
    selected_by_default = False
    listings = (
        ChangeListing(
            CursorListing("/api/v1/persons/{id}/changelog"),
            Parents("persons", only_if_changed=True),
            key="person_id",
        ),
    )


class OrganizationChanges(PipedriveStream):
    """Changes of organizations, field by field."""

    name = "organization_changes"
    entity = entities.OrganizationChange
    primary_keys = ("change_id",)
    keeps_vanished = True
    selected_by_default = False
    listings = (
        ChangeListing(
            CursorListing("/api/v1/organizations/{id}/changelog"),
            Parents("organizations", only_if_changed=True),
            key="organization_id",
        ),
    )
