"""One pydantic model per entity, one line per field: the row of its table.

A field's type (`Text`, `Timestamp`, …) cleans its value and describes its column, see `base.py`. Only keys
are required: Pipedrive leaves out, blanks and nulls almost anything else. Columns carry the API's names;
nested lists and objects stay JSON; a field's description says what its name does not. Rows that belong to a
record carry its id, whether or not the API repeats it.
"""

from tap_pipedrive.entities.account import Currency, Filter, Goal, PermissionSet, Role, User, Webhook
from tap_pipedrive.entities.activities import Activity, ActivityType, CallLog, File, Note, NoteComment
from tap_pipedrive.entities.base import Entity
from tap_pipedrive.entities.changes import DealChange, OrganizationChange, PersonChange
from tap_pipedrive.entities.contacts import (
    Organization,
    OrganizationFollower,
    OrganizationRelationship,
    Person,
    PersonFollower,
)
from tap_pipedrive.entities.deals import (
    Deal,
    DealDiscount,
    DealFollower,
    DealInstallment,
    DealParticipant,
    DealProduct,
    Pipeline,
    Stage,
)
from tap_pipedrive.entities.fields import FieldDefinition, FieldOption, RejectedValue
from tap_pipedrive.entities.leads import Lead, LeadLabel, LeadSource
from tap_pipedrive.entities.mail import MailMessage, MailThread
from tap_pipedrive.entities.products import Product, ProductVariation
from tap_pipedrive.entities.projects import Project, ProjectBoard, ProjectPhase, ProjectTemplate, Task

__all__ = [
    "Activity",
    "ActivityType",
    "CallLog",
    "Currency",
    "Deal",
    "DealChange",
    "DealDiscount",
    "DealFollower",
    "DealInstallment",
    "DealParticipant",
    "DealProduct",
    "Entity",
    "FieldDefinition",
    "FieldOption",
    "File",
    "Filter",
    "Goal",
    "Lead",
    "LeadLabel",
    "LeadSource",
    "MailMessage",
    "MailThread",
    "Note",
    "NoteComment",
    "Organization",
    "OrganizationChange",
    "OrganizationFollower",
    "OrganizationRelationship",
    "PermissionSet",
    "Person",
    "PersonChange",
    "PersonFollower",
    "Pipeline",
    "Product",
    "ProductVariation",
    "Project",
    "ProjectBoard",
    "ProjectPhase",
    "ProjectTemplate",
    "RejectedValue",
    "Role",
    "Stage",
    "Task",
    "User",
    "Webhook",
]
