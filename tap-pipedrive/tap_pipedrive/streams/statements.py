"""What the tap says of its own work."""

from pydantic import Field

from tap_pipedrive.entity import Boolean, Entity, Integer, Key, List, Text, Timestamp
from tap_pipedrive.sync import PipedriveStream


class RunStatement(Entity):
    run_id: Key = Field(description="Run; sorts by the time of the host's clock")
    stream: Key
    company_id: Integer = Field(None, description="Company whose token was used")
    company_name: Text = None
    began_at: Timestamp = Field(None, description="First answer of the run, by Pipedrive's clock")
    ended_at: Timestamp = Field(None, description="Last answer of the run, by Pipedrive's clock")
    method: Text = Field(None, description="whole, changes, first_load or reconcile")
    rows_sent: Integer = Field(None, description="Rows that were sent to the target; one may be sent twice")
    values_rejected: Integer = Field(None, description="Values that did not fit, see `rejected_values`")
    read_up_to: Timestamp = Field(
        None, description="Changes before this moment of Pipedrive's clock were read, now or earlier"
    )
    last_row_at: Timestamp = Field(
        None,
        description="`_sdc_extracted_at` of the last row that was sent; the table has it once all arrived",
    )
    undone_reason: Text = Field(None, description="budget, plan, rights, refused, unread or failed")
    undone_detail: Text = None
    is_missing: Boolean = Field(None, description="Whether the run counts the list as missing, see `missing`")
    unread_count: Integer = Field(None, description="Parents that do not answer; each run asks them again")
    unread_ids: List = None
    tokens_spent: Integer = Field(None, description="API tokens that the stream cost")
    run_tokens_spent: Integer = Field(None, description="API tokens of the whole run, definitions included")
    tokens_left: Integer = Field(None, description="The company's API tokens left today, by the last answer")
    tap_version: Text = None
    api_version: Text = None
    last_complete_pass: Timestamp = Field(
        None, description="Begin of the last reading from beginning to end, by Pipedrive's clock"
    )
    previous_run_died: Boolean = Field(None, description="Whether the run before ended without a statement")


class RunStatements(PipedriveStream):
    """What each run read of each stream, what it left undone and why."""

    name = "run_statements"
    entity = RunStatement
    primary_keys = ("run_id", "stream")
    keeps_missing_rows = True
