# Over 400 lines: this file is a table of every column.
"""The contract of the raw tables: columns, kinds and keys, written without the tap's code."""

TIMESTAMP = "timestamp without time zone"
CLOCK = "HH:MM:SS"
"""A time of day or a duration, as text."""

COUNTS = (
    "activities_count done_activities_count undone_activities_count files_count notes_count followers_count"
    " email_messages_count next_activity_id last_activity_id"
)
DEAL_COUNTS = (
    "open_deals_count closed_deals_count won_deals_count lost_deals_count related_open_deals_count"
    " related_closed_deals_count related_won_deals_count related_lost_deals_count"
)

MAIL_FLAGS = (
    "read_flag deleted_flag synced_flag smart_bcc_flag mail_link_tracking_enabled_flag has_attachments_flag"
    " has_inline_attachments_flag has_real_attachments_flag"
)
CHANGE = {
    "text": "change_id field_key old_value new_value change_source change_source_user_agent",
    "boolean": "is_bulk_update_flag",
    TIMESTAMP: "time",
}

CONTRACT: dict[str, dict[str, str]] = {
    "users": {
        "bigint": "id lang role_id",
        "text": "name email phone default_currency locale timezone_name timezone_offset icon_url",
        "jsonb": "access",
        "boolean": "is_admin is_you is_deleted activated active_flag has_created_company",
        TIMESTAMP: "last_login created modified",
    },
    "pipelines": {
        "bigint": "id order_nr",
        "text": "name",
        "boolean": "is_deal_probability_enabled is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "stages": {
        "bigint": "id order_nr pipeline_id days_to_rotten",
        "text": "name",
        "numeric": "deal_probability",
        "boolean": "is_deal_rot_enabled is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "activity_types": {
        "bigint": "id order_nr",
        "text": "name key_string icon_key color",
        "boolean": "active_flag is_custom_flag",
        TIMESTAMP: "add_time update_time",
    },
    "currencies": {
        "bigint": "id decimal_points",
        "text": "code name symbol",
        "boolean": "active_flag is_custom_flag",
    },
    "lead_labels": {"text": "id name color", TIMESTAMP: "add_time update_time"},
    "fields": {
        "text": "entity field_code field_name field_type description column_name",
        "boolean": "is_custom_field is_optional_response_field",
        "jsonb": "subfields",
    },
    "field_options": {
        "text": "entity field_code option_id label color",
        TIMESTAMP: "add_time update_time",
    },
    "organizations": {
        "bigint": f"id owner_id industry employee_count visible_to people_count {COUNTS} {DEAL_COUNTS}",
        "text": "name website linkedin smart_bcc_email",
        "numeric": "annual_revenue",
        "jsonb": "address label_ids",
        "boolean": "is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "persons": {
        "bigint": f"id owner_id org_id picture_id visible_to {COUNTS} {DEAL_COUNTS}"
        " participant_open_deals_count participant_closed_deals_count",
        "text": "name first_name last_name primary_email primary_phone job_title notes smart_bcc_email",
        "jsonb": "emails phones im postal_address label_ids",
        "boolean": "is_deleted",
        "date": "birthday",
        TIMESTAMP: "add_time update_time last_incoming_mail_time last_outgoing_mail_time",
    },
    "products": {
        "bigint": "id owner_id visible_to billing_frequency_cycles",
        "text": "name code description unit category billing_frequency",
        "numeric": "tax",
        "boolean": "is_linkable is_deleted",
        "jsonb": "prices",
        TIMESTAMP: "add_time update_time",
    },
    "deals": {
        "bigint": "id owner_id creator_user_id person_id org_id pipeline_id stage_id lost_reason_id channel"
        f" visible_to products_count participants_count {COUNTS}",
        "text": "title status currency lost_reason origin origin_id channel_id source_lead_id smart_bcc_email",
        "numeric": "value probability arr mrr acv",
        "jsonb": "label_ids",
        "boolean": "is_archived is_deleted",
        "date": "expected_close_date local_won_date local_lost_date local_close_date",
        TIMESTAMP: "add_time update_time stage_change_time close_time won_time first_won_time lost_time"
        " archive_time last_incoming_mail_time last_outgoing_mail_time",
    },
    "leads": {
        "bigint": "owner_id creator_id person_id organization_id channel source_deal_id visible_to"
        " next_activity_id",
        "text": "id title currency source_name origin origin_id channel_id cc_email",
        "numeric": "value",
        "jsonb": "label_ids",
        "boolean": "is_archived was_seen",
        "date": "expected_close_date",
        TIMESTAMP: "add_time update_time",
    },
    "activities": {
        "bigint": "id owner_id creator_user_id deal_id person_id org_id project_id priority outcome",
        "text": "subject type lead_id note public_description conference_meeting_client"
        " conference_meeting_url conference_meeting_id",
        "boolean": "done busy is_deleted",
        "jsonb": "location participants attendees",
        "date": "due_date",
        CLOCK: "due_time duration",
        TIMESTAMP: "add_time update_time marked_as_done_time",
    },
    "notes": {
        "bigint": "id deal_id person_id org_id project_id task_id user_id last_update_user_id",
        "text": "content lead_id",
        "boolean": "active_flag pinned_to_deal_flag pinned_to_lead_flag pinned_to_person_flag"
        " pinned_to_organization_flag pinned_to_project_flag pinned_to_task_flag",
        TIMESTAMP: "add_time update_time",
    },
    "deal_products": {
        "bigint": "id deal_id product_id product_variation_id order_nr billing_frequency_cycles",
        "text": "name discount_type tax_method currency comments billing_frequency",
        "numeric": "quantity item_price discount tax sum",
        "boolean": "is_enabled",
        "date": "billing_start_date",
        TIMESTAMP: "add_time update_time",
    },
    "deal_changes": CHANGE | {"bigint": "deal_id sequence actor_user_id"},
    "rejected_values": {"text": "stream record_id field value error", TIMESTAMP: "seen_at"},
    "run_statements": {
        "text": "run_id stream company_name method undone_reason undone_detail tap_version api_version",
        "bigint": "company_id rows_sent values_rejected left_count runs_left days_left unread_count"
        " tokens_spent run_tokens_spent tokens_left",
        TIMESTAMP: "began_at ended_at read_up_to due_at last_row_at last_complete_pass",
        "boolean": "is_missing is_mapped previous_run_died",
        "jsonb": "unread_ids",
    },
    "source_counts": {
        "text": "run_id stream figure currency",
        "numeric": "value",
        TIMESTAMP: "moment asked_at",
    },
    "source_samples": {
        "text": "run_id stream record_id",
        "jsonb": "content",
        TIMESTAMP: "update_time asked_at",
    },
    "field_columns": {
        "text": "stream column_name entity field_code field_name field_type",
        "jsonb": "all_columns",
        "boolean": "is_current",
    },
}
"""Built-in columns of the raw tables that are loaded by default, by kind: the type in Postgres, or CLOCK."""

OPTIONAL: dict[str, dict[str, str]] = {
    "lead_sources": {"text": "name"},
    "roles": {
        "bigint": "id parent_role_id level assignment_count sub_role_count",
        "text": "name",
        "boolean": "active_flag",
    },
    "permission_sets": {"bigint": "assignment_count", "text": "id name description app type"},
    "filters": {
        "bigint": "id user_id custom_view_id visible_to",
        "text": "name filter_code type",
        "boolean": "is_editable active_flag temporary_flag",
        TIMESTAMP: "last_used_time add_time update_time",
    },
    "goals": {
        "bigint": "owner_id assignee_id expected_outcome_currency_id",
        "text": "id title type_name assignee_type interval expected_outcome_tracking_metric",
        "numeric": "expected_outcome_target",
        "jsonb": "type_params report_ids",
        "boolean": "is_active",
        "date": "duration_start duration_end",
    },
    "webhooks": {
        "bigint": "id owner_id user_id admin_id last_http_status",
        "text": "name subscription_url event_action event_object webhook_version type remove_reason",
        "boolean": "is_active",
        TIMESTAMP: "last_delivery_time add_time remove_time",
    },
    "project_boards": {"bigint": "id order_nr", "text": "name", TIMESTAMP: "add_time update_time"},
    "project_phases": {"bigint": "id board_id order_nr", "text": "name", TIMESTAMP: "add_time update_time"},
    "project_templates": {
        "bigint": "id projects_board_id owner_id",
        "text": "title description",
        TIMESTAMP: "add_time update_time",
    },
    "projects": {
        "bigint": "id board_id phase_id owner_id health_status",
        "text": "title description status",
        "jsonb": "deal_ids person_ids org_ids label_ids",
        "date": "start_date end_date",
        TIMESTAMP: "status_change_time archive_time add_time update_time",
    },
    "tasks": {
        "bigint": "id project_id parent_task_id creator_id priority",
        "text": "title description",
        "jsonb": "assignee_ids",
        "boolean": "is_done is_milestone",
        "date": "start_date due_date",
        TIMESTAMP: "marked_as_done_time add_time update_time",
    },
    "files": {
        "bigint": "id file_size user_id deal_id person_id org_id product_id activity_id project_id log_id",
        "text": "name file_name file_type description url lead_id mail_message_id mail_template_id"
        " remote_location remote_id cid s3_bucket",
        "boolean": "active_flag inline_flag",
        TIMESTAMP: "add_time update_time",
    },
    "call_logs": {
        "bigint": "user_id activity_id deal_id person_id org_id duration",
        "text": "id lead_id subject outcome from_phone_number to_phone_number note",
        "boolean": "has_recording",
        TIMESTAMP: "start_time end_time",
    },
    "mail_threads": {
        "bigint": "id user_id thread_version message_count deal_id",
        "text": "account_id subject snippet snippet_draft snippet_sent mail_tracking_status deal_status lead_id",
        "jsonb": "parties drafts_parties folders",
        "boolean": f"{MAIL_FLAGS} archived_flag external_deleted_flag shared_flag first_message_to_me_flag"
        " all_messages_sent_flag has_draft_flag has_sent_flag",
        TIMESTAMP: "first_message_timestamp last_message_timestamp last_message_sent_timestamp"
        " last_message_received_timestamp add_time update_time",
    },
    "mail_messages": {
        "bigint": "id mail_thread_id user_id",
        "text": "account_id subject snippet body_url draft mail_tracking_status",
        "jsonb": "from_parties to_parties cc_parties bcc_parties",
        "boolean": f"{MAIL_FLAGS} draft_flag sent_flag sent_from_pipedrive_flag has_body_flag",
        TIMESTAMP: "message_time add_time update_time",
    },
    "note_comments": {
        "bigint": "note_id user_id updater_id",
        "text": "uuid content",
        "boolean": "active_flag",
        TIMESTAMP: "add_time update_time",
    },
    "product_variations": {"bigint": "id product_id", "text": "name", "jsonb": "prices"},
    "organization_relationships": {
        "bigint": "id rel_owner_org_id rel_linked_org_id",
        "text": "type",
        "boolean": "active_flag",
        TIMESTAMP: "add_time update_time",
    },
    "organization_followers": {"bigint": "organization_id user_id", TIMESTAMP: "add_time"},
    "person_followers": {"bigint": "person_id user_id", TIMESTAMP: "add_time"},
    "deal_followers": {"bigint": "deal_id user_id", TIMESTAMP: "add_time"},
    "deal_participants": {
        "bigint": "id deal_id person_id added_by_user_id",
        "boolean": "active_flag",
        TIMESTAMP: "add_time",
    },
    "deal_installments": {
        "bigint": "id deal_id",
        "text": "description",
        "numeric": "amount",
        "date": "billing_date",
    },
    "deal_discounts": {
        "bigint": "deal_id created_by updated_by",
        "text": "id type description",
        "numeric": "amount",
        TIMESTAMP: "created_at updated_at",
    },
    "person_changes": CHANGE | {"bigint": "person_id sequence actor_user_id"},
    "organization_changes": CHANGE | {"bigint": "organization_id sequence actor_user_id"},
    "deal_participant_changes": {
        "text": "change_id action",
        "bigint": "deal_id person_id actor_user_id sequence",
        TIMESTAMP: "time",
    },
    "schema_changes": {
        "text": "run_id stream field_code change old_name new_name old_type new_type old_column new_column",
        TIMESTAMP: "seen_at",
    },
}
"""The same for the tables that are loaded only if they are selected."""

OF_THE_RUN = {"run_statements", "source_counts", "source_samples", "schema_changes"}
"""Tables in which the tap reports on its own runs; the account has no data to compare them with."""

KEYS = {
    "fields": ("entity", "field_code"),
    "field_options": ("entity", "field_code", "option_id"),
    "rejected_values": ("stream", "record_id", "field"),
    "lead_sources": ("name",),
    "note_comments": ("uuid",),
    "organization_followers": ("organization_id", "user_id"),
    "person_followers": ("person_id", "user_id"),
    "deal_followers": ("deal_id", "user_id"),
    "deal_changes": ("deal_id", "sequence"),
    "person_changes": ("person_id", "sequence"),
    "organization_changes": ("organization_id", "sequence"),
    "deal_participant_changes": ("deal_id", "sequence"),
    "run_statements": ("run_id", "stream"),
    "source_counts": ("run_id", "stream", "figure", "currency"),
    "source_samples": ("run_id", "stream", "record_id"),
    "field_columns": ("stream", "column_name"),
    "schema_changes": ("run_id", "stream", "field_code", "change"),
}
"""Primary keys other than `id`. Changes have a hash as their key, which only the tap can compute."""

HASHED = {"change_id"}
"""Columns whose values cannot be predicted."""

NOT_LOADED = {
    "persons": {"marketing_status", "doi_status"},  # these need an add-on
    # the options have their own table
    "fields": {"options", "ui_visibility", "important_fields", "required_fields"},
    "field_options": {"id"},  # stored as text in option_id
    "filters": {"conditions"},  # not sent in the list
    "goals": {"type", "assignee", "duration", "expected_outcome"},  # their parts have columns
    "webhooks": {"company_id", "http_auth_user", "http_auth_password", "version"},
    "lead_sources": {"id"},  # keys of the sandbox itself, as for followers
    "deal_followers": {"id"},
    "person_followers": {"id"},
    "organization_followers": {"id", "org_id"},
    "organization_changes": {"org_id"},
    "note_comments": {"id"},
    "mail_messages": {"from", "to", "cc", "bcc"},  # SQL keywords
    "mail_threads": {"version"},
}
"""Keys of the account that have no column of the same name."""

INCREMENTAL = ("organizations", "persons", "products", "deals", "leads", "activities", "notes")
"""Tables that are loaded incrementally; the optional `files` is one, too."""

RENAMED = {
    "field_options": {"option_id": "id"},
    "note_comments": {"uuid": "id"},
    "organization_followers": {"organization_id": "org_id"},
    "organization_changes": {"organization_id": "org_id"},
    "webhooks": {"webhook_version": "version"},
    "mail_threads": {"thread_version": "version"},
    "mail_messages": {f"{role}_parties": role for role in ("from", "to", "cc", "bcc")},
}
"""Columns that hold a key of the account under another name."""

CHILDREN = {
    "deal_products": ("deals", "deal_id", "update_time"),
    "deal_installments": ("deals", "deal_id", "update_time"),
    "deal_discounts": ("deals", "deal_id", "update_time"),
    "deal_followers": ("deals", "deal_id", "update_time"),
    "deal_participants": ("deals", "deal_id", "update_time"),
    "deal_changes": ("deals", "deal_id", "update_time"),
    "person_followers": ("persons", "person_id", "update_time"),
    "person_changes": ("persons", "person_id", "update_time"),
    "organization_followers": ("organizations", "organization_id", "update_time"),
    "organization_changes": ("organizations", "organization_id", "update_time"),
    "note_comments": ("notes", "note_id", "update_time"),
    "product_variations": ("products", "product_id", "update_time"),
    "mail_messages": ("mail_threads", "mail_thread_id", "update_time"),
    "deal_participant_changes": ("deals", "deal_id", "update_time"),
}
"""Tables whose rows are read again when another table's row changes: that table, the key, the time of change."""

FIELDS_OF = {
    "organizations": "organization",
    "persons": "person",
    "products": "product",
    "deals": "deal",
    "leads": "deal",
    "projects": "project",
}
"""Entities of custom fields, by table."""

ADDRESS = (
    "street_number",
    "route",
    "sublocality",
    "subpremise",
    "locality",
    "admin_area_level_1",
    "admin_area_level_2",
    "country",
    "postal_code",
    "formatted_address",
)

CUSTOM: dict[str, dict[str, str]] = {
    "double": {"": "numeric"},
    "monetary": {"": "numeric", "_currency": "text"},
    "enum": {"": "text", "_id": "bigint"},
    "set": {"": "jsonb", "_ids": "jsonb"},
    "user": {"": "bigint"},
    "org": {"": "bigint"},
    "people": {"": "bigint"},
    "date": {"": "date"},
    "daterange": {"": "date", "_until": "date"},
    "time": {"": CLOCK, "_timezone": "text"},
    "timerange": {"": CLOCK, "_until": CLOCK, "_timezone": "text"},
    "address": {"": "text", **{f"_{part}": "text" for part in ADDRESS}},
    "varchar": {"": "text"},
    "varchar_auto": {"": "text"},
    "text": {"": "text"},
    "phone": {"": "text"},
}
"""Suffix and kind of the columns of a custom field, by its type."""
