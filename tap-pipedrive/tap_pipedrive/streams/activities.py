"""What people did and wrote down: activities, calls, notes, files."""

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import (
    ActivityKind,
    Boolean,
    Date,
    Duration,
    Entity,
    Id,
    Integer,
    Key,
    LeadId,
    List,
    Object,
    Text,
    Time,
    Timestamp,
    UserId,
)
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.sync import OptionalStream, PipedriveStream


class Activity(Entity):
    id: Id
    subject: Text = None
    type: ActivityKind = Field(None, description="`key_string` of the activity type")
    owner_id: UserId = None
    creator_user_id: UserId = None
    deal_id: Integer = None
    lead_id: LeadId = None
    person_id: Integer = None
    org_id: Integer = None
    project_id: Integer = None
    done: Boolean = None
    busy: Boolean = None
    is_deleted: Boolean = None
    due_date: Date = Field(None, description="In UTC, like `due_time`")
    due_time: Time = Field(None, description="HH:MM:SS; nothing for the whole day")
    duration: Duration = Field(None, description="HH:MM:SS")
    marked_as_done_time: Timestamp = None
    location: Object = None
    participants: List = None
    attendees: List = None
    conference_meeting_client: Text = None
    conference_meeting_url: Text = None
    conference_meeting_id: Text = None
    public_description: Text = None
    note: Text = Field(None, description="HTML")
    priority: Integer = None
    outcome: Integer = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Activities(PipedriveStream):
    """Calls, meetings, tasks and other activities."""

    name = "activities"
    entity = Activity
    replication_key = "update_time"
    custom_fields_of = "activity"
    has_rare_custom_fields = True
    listings = [
        CursorListing("/api/v2/activities", price=10, params={"include_fields": "attendees"}, takes_ids=True)
    ]


class ActivityType(Entity):
    id: Id
    name: Text = None
    key_string: Text = Field(None, description="What `activities.type` holds")
    icon_key: Text = None
    color: Text = None
    order_nr: Integer = None
    active_flag: Boolean = None
    is_custom_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ActivityTypes(PipedriveStream):
    """Types of activities."""

    name = "activity_types"
    entity = ActivityType
    named_by = "key_string"
    listings = [WholeListing("/api/v1/activityTypes", price=20, is_reference=True)]


class CallLog(Entity):
    id: Key
    user_id: UserId = None
    activity_id: Integer = None
    deal_id: Integer = None
    lead_id: LeadId = None
    person_id: Integer = None
    org_id: Integer = None
    subject: Text = None
    outcome: Text = Field(
        None, description="connected, no_answer, left_message, left_voicemail, wrong_number or busy"
    )
    duration: Integer = Field(None, description="Seconds")
    from_phone_number: Text = None
    to_phone_number: Text = None
    has_recording: Boolean = None
    note: Text = Field(None, description="HTML")
    start_time: Timestamp = None
    end_time: Timestamp = None


class CallLogs(OptionalStream):
    """Phone calls of the token's user."""

    name = "call_logs"
    entity = CallLog
    listings = [OffsetListing("/api/v1/callLogs", price=20, is_sortable=False, limit=50)]
    ignored_keys = {"company_id"}


class Note(Entity):
    id: Id
    content: Text = Field(None, description="HTML")
    deal_id: Integer = None
    lead_id: LeadId = None
    person_id: Integer = None
    org_id: Integer = None
    project_id: Integer = None
    task_id: Integer = None
    user_id: UserId = None
    last_update_user_id: UserId = None
    active_flag: Boolean = None
    pinned_to_deal_flag: Boolean = None
    pinned_to_lead_flag: Boolean = None
    pinned_to_person_flag: Boolean = None
    pinned_to_organization_flag: Boolean = None
    pinned_to_project_flag: Boolean = None
    pinned_to_task_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Notes(PipedriveStream):
    """Notes on deals, leads, persons and organizations."""

    name = "notes"
    entity = Note
    replication_key = "update_time"
    listings = [OffsetListing("/api/v1/notes", price=20, one="/api/v1/notes/{id}")]
    ignored_keys = {"deal", "lead", "person", "organization", "project", "task", "user"}


class NoteComment(Entity):
    uuid: Key
    note_id: Integer = None
    content: Text = Field(None, description="HTML")
    user_id: UserId = None
    updater_id: Integer = None
    active_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class NoteComments(OptionalStream):
    """Comments on notes."""

    name = "note_comments"
    entity = NoteComment
    primary_keys = ("uuid",)
    listings = [
        ChildListing(
            OffsetListing("/api/v1/notes/{id}/comments", price=20, is_sortable=False), Parents("notes")
        )
    ]
    ignored_keys = {"object_id", "object_type", "company_id"}


class File(Entity):
    id: Id
    name: Text = None
    file_name: Text = Field(None, description="Where it is stored")
    file_type: Text = None
    file_size: Integer = Field(None, description="Bytes")
    description: Text = None
    url: Text = Field(None, description="Where the API hands it out")
    user_id: UserId = None
    deal_id: Integer = None
    lead_id: LeadId = None
    person_id: Integer = None
    org_id: Integer = None
    product_id: Integer = None
    activity_id: Integer = None
    project_id: Integer = None
    log_id: Integer = None
    mail_message_id: Text = None
    mail_template_id: Text = None
    remote_location: Text = Field(None, description="googledrive …, where it is not with Pipedrive")
    remote_id: Text = None
    cid: Text = Field(None, description="Content id, of what is shown within a mail")
    s3_bucket: Text = None
    active_flag: Boolean = None
    inline_flag: Boolean = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Files(OptionalStream):
    """Metadata of files, without their content."""

    name = "files"
    entity = File
    replication_key = "update_time"
    listings = [OffsetListing("/api/v1/files", price=20, has_updated_since=False, limit=100)]
    ignored_keys = {"deal_name", "lead_name", "org_name", "person_name", "product_name", "project_name"}
