"""The mailbox of the token's user."""

from typing import Any

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import Boolean, Entity, Id, Integer, LeadId, List, Object, Text, Timestamp, UserId
from tap_pipedrive.listings import OffsetListing, WholeListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.sync import OptionalStream


class MailThread(Entity):
    id: Id
    account_id: Text = Field(None, description="The mailbox")
    user_id: UserId = None
    subject: Text = None
    snippet: Text = None
    snippet_draft: Text = None
    snippet_sent: Text = None
    parties: Object = Field(None, description="`from` and `to`: lists of those who wrote and were written to")
    drafts_parties: List = None
    folders: List = None
    thread_version: Integer = Field(None, description="The API's `version`")
    message_count: Integer = None
    mail_tracking_status: Text = None
    deal_id: Integer = None
    deal_status: Text = None
    lead_id: LeadId = None
    read_flag: Boolean = None
    archived_flag: Boolean = None
    deleted_flag: Boolean = None
    external_deleted_flag: Boolean = None
    shared_flag: Boolean = None
    synced_flag: Boolean = None
    smart_bcc_flag: Boolean = None
    mail_link_tracking_enabled_flag: Boolean = None
    first_message_to_me_flag: Boolean = None
    all_messages_sent_flag: Boolean = None
    has_draft_flag: Boolean = None
    has_sent_flag: Boolean = None
    has_attachments_flag: Boolean = None
    has_inline_attachments_flag: Boolean = None
    has_real_attachments_flag: Boolean = None
    first_message_timestamp: Timestamp = None
    last_message_timestamp: Timestamp = None
    last_message_sent_timestamp: Timestamp = None
    last_message_received_timestamp: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """A column `version` would clash with a parameter of the target's, see `PARAMETERS`."""
        return record | {"thread_version": record.get("version")}


class MailThreads(OptionalStream):
    """Conversations by e-mail of the token's user."""

    name = "mail_threads"
    entity = MailThread
    listings = tuple(
        OffsetListing(
            "/api/v1/mailbox/mailThreads", price=20, name=folder, params={"folder": folder}, is_sortable=False
        )
        for folder in ("inbox", "drafts", "sent", "archive")
    )
    ignored_keys = {"version"}


class MailMessage(Entity):
    id: Id
    mail_thread_id: Integer = None
    account_id: Text = Field(None, description="The mailbox")
    user_id: UserId = None
    subject: Text = None
    snippet: Text = None
    from_parties: List = Field(None, description="The API's `from`, a reserved word in SQL")
    to_parties: List = None
    cc_parties: List = None
    bcc_parties: List = None
    body_url: Text = None
    draft: Text = None
    mail_tracking_status: Text = None
    read_flag: Boolean = None
    draft_flag: Boolean = None
    sent_flag: Boolean = None
    sent_from_pipedrive_flag: Boolean = None
    deleted_flag: Boolean = None
    synced_flag: Boolean = None
    smart_bcc_flag: Boolean = None
    mail_link_tracking_enabled_flag: Boolean = None
    has_body_flag: Boolean = None
    has_attachments_flag: Boolean = None
    has_inline_attachments_flag: Boolean = None
    has_real_attachments_flag: Boolean = None
    message_time: Timestamp = None
    add_time: Timestamp = None
    update_time: Timestamp = None

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """`from` and `to` are words of SQL, so all four lists of addresses get longer names."""
        return record | {f"{role}_parties": record.get(role) for role in ("from", "to", "cc", "bcc")}


class MailMessages(OptionalStream):
    """E-mails of the token's user, without their bodies."""

    name = "mail_messages"
    entity = MailMessage
    listings = [
        ChildListing(
            WholeListing("/api/v1/mailbox/mailThreads/{id}/mailMessages", price=20), Parents("mail_threads")
        )
    ]
    ignored_keys = {"from", "to", "cc", "bcc"}
