"""What the tap says of its own work, and what the source says there is."""

from typing import cast

from pydantic import Field

from tap_pipedrive.checks import ChangedListing, NewestListing, SampleListing, SummaryListing
from tap_pipedrive.entity import Boolean, Entity, Integer, Key, List, Number, Object, Text, Timestamp
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.streams.activities import Activities
from tap_pipedrive.streams.contacts import Organizations, Persons
from tap_pipedrive.streams.deals import Deals
from tap_pipedrive.streams.products import Products
from tap_pipedrive.sync import PipedriveStream


class RunStatement(Entity):
    run_id: Key = Field(description="Run; sorts by the time of the host's clock")
    stream: Key
    company_id: Integer = Field(None, description="Company whose token was used")
    company_name: Text = None
    began_at: Timestamp = Field(None, description="First answer of the run, by Pipedrive's clock")
    ended_at: Timestamp = Field(None, description="Last answer of the run, by Pipedrive's clock")
    method: Text = Field(
        None, description="whole, changes, first_load or reconcile; kept: it was young enough"
    )
    rows_sent: Integer = Field(None, description="Rows that were sent to the target; one may be sent twice")
    values_rejected: Integer = Field(None, description="Values that did not fit, see `rejected_values`")
    read_up_to: Timestamp = Field(
        None, description="Changes before this moment of Pipedrive's clock were read, now or earlier"
    )
    due_at: Timestamp = Field(
        None,
        description="When what is read by age (see `reference_max_age`) is to be read again; until then "
        "`read_up_to` may stay where it is",
    )
    last_row_at: Timestamp = Field(
        None,
        description="`_sdc_extracted_at` of the last row that was sent; the table has it once all arrived",
    )
    undone_reason: Text = Field(None, description="budget, plan, rights, refused, unread or failed")
    undone_detail: Text = None
    is_missing: Boolean = Field(None, description="Whether the run counts the list as missing, see `missing`")
    left_count: Integer = Field(None, description="Records whose lists the tokens did not suffice for")
    runs_left: Integer = Field(None, description="How many more runs like this one these take, about")
    days_left: Integer = Field(
        None,
        description="How many days these take, about, where the tokens of a day are what keeps them waiting",
    )
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
    is_mapped: Boolean = Field(None, description="Whether stream_maps change or leave out rows of the stream")
    previous_run_died: Boolean = Field(None, description="Whether the run before ended without a statement")


class RunStatements(PipedriveStream):
    """What each run read of each stream, what it left undone and why."""

    name = "run_statements"
    entity = RunStatement
    primary_keys = ("run_id", "stream")
    keeps_missing_rows = True


CHECKED = {
    str(vars(stream)["name"]): cast("CursorListing", stream.listings[0])
    for stream in (Deals, Persons, Organizations, Activities, Products)
}
"""The lists that are checked, by stream."""


class SourceCount(Entity):
    run_id: Key = Field(description="Run that asked")
    stream: Key = Field(description="Stream that the figure is about")
    figure: Key = Field(
        description="count and value of all deals that are not archived; highest_id; changed: rows that changed "
        "since the stream was read, up to 500"
    )
    currency: Key = Field(description="`all` for a figure of all currencies")
    value: Number = None
    moment: Timestamp = Field(None, description="When the row with the highest id was added")
    asked_at: Timestamp = Field(None, description="By Pipedrive's clock")


class SourceCounts(PipedriveStream):
    """What Pipedrive's own counters say there is, asked once a day."""

    name = "source_counts"
    entity = SourceCount
    primary_keys = ("run_id", "stream", "figure", "currency")
    keeps_missing_rows = True
    listings = (
        SummaryListing(
            "deals",
            "/api/v1/deals/summary",
            price=40,
            needs=frozenset({"status", "value", "currency", "is_archived", "is_deleted"}),
        ),
        ChangedListing("deals", "/api/v2/deals", price=10, params={"status": "open,won,lost,deleted"}),
        *(NewestListing(name, each.path, each.price) for name, each in CHECKED.items()),
    )


class SourceSample(Entity):
    run_id: Key = Field(description="Run that asked")
    stream: Key
    record_id: Key
    content: Object = Field(None, description="The row as the stream would write it")
    update_time: Timestamp = Field(None, description="The row's time of change")
    asked_at: Timestamp = Field(None, description="By Pipedrive's clock")


class SourceSamples(PipedriveStream):
    """Rows of a few lists that were read again, drawn anew once a day."""

    name = "source_samples"
    entity = SourceSample
    primary_keys = ("run_id", "stream", "record_id")
    keeps_missing_rows = True
    listings = tuple(
        SampleListing(name, each.path, each.price, params=each.params) for name, each in CHECKED.items()
    )
