"""The streams, as a table: one class each, attributes only. `STREAMS` at the foot is their order in a run.

Those here are on by default, the others are in `optional_streams.py`.
"""

from tap_pipedrive import entities
from tap_pipedrive import optional_streams as optional
from tap_pipedrive.children import ChildListing, Parents
from tap_pipedrive.definitions import FIELD_ENDPOINTS, DefinitionListing, OptionListing
from tap_pipedrive.history import ChangeListing
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.stream import PipedriveStream

COUNTS = (
    "next_activity_id,last_activity_id,files_count,notes_count,followers_count,email_messages_count,"
    "activities_count,done_activities_count,undone_activities_count,smart_bcc_email"
)
"""Columns that v2 leaves out unless asked, of deals, persons and organizations."""

DEAL_COUNTS = (
    "open_deals_count,related_open_deals_count,closed_deals_count,related_closed_deals_count,"
    "won_deals_count,related_won_deals_count,lost_deals_count,related_lost_deals_count"
)
"""The same, of persons and organizations."""

MAIL_TIMES = "last_incoming_mail_time,last_outgoing_mail_time"

DEAL_PARAMS = {
    "status": "open,won,lost,deleted",
    "include_fields": f"{COUNTS},{MAIL_TIMES},first_won_time,products_count,participants_count,source_lead_id",
}


class Users(PipedriveStream):
    """The account's users."""

    name = "users"
    entity = entities.User
    listings = (WholeListing("/api/v1/users"),)


class Pipelines(PipedriveStream):
    """Pipelines."""

    name = "pipelines"
    entity = entities.Pipeline
    listings = (CursorListing("/api/v2/pipelines"),)
    ignored_keys = frozenset({"is_selected"})


class Stages(PipedriveStream):
    """Stages of the pipelines."""

    name = "stages"
    entity = entities.Stage
    listings = (CursorListing("/api/v2/stages"),)


class ActivityTypes(PipedriveStream):
    """Kinds of activities."""

    name = "activity_types"
    entity = entities.ActivityType
    listings = (WholeListing("/api/v1/activityTypes"),)


class Currencies(PipedriveStream):
    """Currencies, custom ones included."""

    name = "currencies"
    entity = entities.Currency
    listings = (WholeListing("/api/v1/currencies"),)


class LeadLabels(PipedriveStream):
    """Labels of leads."""

    name = "lead_labels"
    entity = entities.LeadLabel
    listings = (WholeListing("/api/v1/leadLabels"),)


class Fields(PipedriveStream):
    """Field definitions of all entities, built-in and custom."""

    name = "fields"
    entity = entities.FieldDefinition
    primary_keys = ("entity", "field_code")
    keeps_vanished = True
    listings = tuple(DefinitionListing(entity) for entity in FIELD_ENDPOINTS)
    ignored_keys = frozenset({"options", "ui_visibility", "important_fields", "required_fields"})


class FieldOptions(PipedriveStream):
    """Options of all fields; one that disappears stays with its last label."""

    name = "field_options"
    entity = entities.FieldOption
    primary_keys = ("entity", "field_code", "option_id")
    keeps_vanished = True
    listings = tuple(OptionListing(entity) for entity in FIELD_ENDPOINTS)
    ignored_keys = frozenset({"id"})


class Organizations(PipedriveStream):
    """Organizations."""

    name = "organizations"
    entity = entities.Organization
    replication_key = "update_time"
    custom_fields_of = "organization"
    listings = (
        CursorListing(
            "/api/v2/organizations", params={"include_fields": f"{COUNTS},{DEAL_COUNTS},people_count"}
        ),
    )


class Persons(PipedriveStream):
    """Persons."""

    name = "persons"
    entity = entities.Person
    replication_key = "update_time"
    custom_fields_of = "person"
    listings = (
        CursorListing(
            "/api/v2/persons",
            params={
                "include_fields": f"{COUNTS},{DEAL_COUNTS},{MAIL_TIMES},"
                "participant_open_deals_count,participant_closed_deals_count"
            },
        ),
    )


class Products(PipedriveStream):
    """The product catalogue."""

    name = "products"
    entity = entities.Product
    replication_key = "update_time"
    custom_fields_of = "product"
    listings = (CursorListing("/api/v2/products"),)


class Deals(PipedriveStream):
    """Deals: open, won, lost, deleted within 30 days, and archived."""

    name = "deals"
    entity = entities.Deal
    replication_key = "update_time"
    custom_fields_of = "deal"
    listings = (
        CursorListing("/api/v2/deals", "live", params=DEAL_PARAMS),
        CursorListing("/api/v2/deals/archived", "archived", params=DEAL_PARAMS),
    )


class Leads(PipedriveStream):
    """Leads, live and archived, with the deals' custom fields."""

    name = "leads"
    entity = entities.Lead
    replication_key = "update_time"
    custom_fields_of = "deal"
    flat_custom_fields = True
    listings = (
        OffsetListing("/api/v1/leads", "live"),
        OffsetListing("/api/v1/leads/archived", "archived", has_updated_since=False),
    )


class Activities(PipedriveStream):
    """Activities: calls, meetings, tasks …"""

    name = "activities"
    entity = entities.Activity
    replication_key = "update_time"
    listings = (CursorListing("/api/v2/activities", params={"include_fields": "attendees"}),)


class Notes(PipedriveStream):
    """Notes."""

    name = "notes"
    entity = entities.Note
    replication_key = "update_time"
    listings = (OffsetListing("/api/v1/notes"),)
    ignored_keys = frozenset({"deal", "lead", "person", "organization", "project", "task", "user"})


class DealProducts(PipedriveStream):
    """Line items of deals."""

    name = "deal_products"
    entity = entities.DealProduct
    listings = (
        ChildListing(
            CursorListing("/api/v2/deals/products"),
            Parents("deals", count="products_count"),
            key="deal_id",
            batch=100,
            many="deal_ids",
        ),
    )


class DealChanges(PipedriveStream):
    """Changes of deals: who moved which deal when from where to where, or, if the settings say so, all of them."""

    name = "deal_changes"
    entity = entities.DealChange
    primary_keys = ("change_id",)
    keeps_vanished = True
    listings = (
        ChangeListing(
            CursorListing("/api/v1/deals/{id}/changelog"),
            Parents("deals", moved="stage_change_time", only_if_changed=True),
            key="deal_id",
            name="stage",
            only_field="stage_id",
        ),
        ChangeListing(
            CursorListing("/api/v1/deals/{id}/changelog"),
            Parents("deals", only_if_changed=True),
            key="deal_id",
            name="all",
        ),
    )


class RejectedValues(PipedriveStream):
    """Values that did not fit their column, as they came; the other streams fill it."""

    name = "rejected_values"
    entity = entities.RejectedValue
    keeps_vanished = True
    primary_keys = ("stream", "record_id", "field")


STREAMS: tuple[type[PipedriveStream], ...] = (
    Users,
    Pipelines,
    Stages,
    ActivityTypes,
    Currencies,
    LeadLabels,
    optional.LeadSources,
    optional.Roles,
    optional.PermissionSets,
    optional.Filters,
    optional.Goals,
    optional.Webhooks,
    Fields,
    FieldOptions,
    Organizations,
    Persons,
    Products,
    Deals,
    Leads,
    Activities,
    Notes,
    optional.ProjectBoards,
    optional.ProjectPhases,
    optional.ProjectTemplates,
    optional.Projects,
    optional.Tasks,
    optional.Files,
    optional.CallLogs,
    optional.MailThreads,
    DealProducts,
    optional.DealInstallments,
    optional.ProductVariations,
    optional.NoteComments,
    optional.MailMessages,
    optional.OrganizationFollowers,
    optional.PersonFollowers,
    optional.DealFollowers,
    optional.DealParticipants,
    optional.DealDiscounts,
    optional.OrganizationRelationships,
    DealChanges,
    optional.PersonChanges,
    optional.OrganizationChanges,
    RejectedValues,
)
