"""What a stream reports in the log when it is at its end: what was left out, and why."""

from collections.abc import Iterator, Sequence

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.memory import Memory
from tap_pipedrive.statement import NAMED
from tap_pipedrive.table import Table


def problems(
    table: Table, memory: Memory, refusals: Sequence[PipedriveError], unread_detail: str | None
) -> Iterator[str]:
    """Yield a sentence for each kind of thing that was left out.

    Args:
        table: The stream, all of whose rows are written.
        memory: What its state keeps.
        refusals: Why rows of single pages are missing.
        unread_detail: What the API said last of a parent that does not answer.
    """
    reader = table.reader
    if reader.unknown_keys:
        keys = ", ".join(f"{key} ({count} rows)" for key, count in sorted(reader.unknown_keys.items()))
        yield f"Pipedrive sent keys that have no column here, please report them: {keys}"
    if unread := memory.unread:
        shown = ", ".join(map(str, unread[:NAMED])) + " …" * (len(unread) > NAMED)
        yield (
            f"{len(unread)} parents ({shown}) do not answer and are asked again in each run; the last said: "
            f"{unread_detail}"
        )
    if table.custom_fields and table.custom_fields.wide_rows:
        yield (
            f"{table.custom_fields.wide_rows} rows are too wide for Postgres: the largest values of their custom "
            "fields are in custom_fields_overflow."
        )
    if refusals:
        yield f"rows are missing, for {len(refusals)} reasons; the last: {refusals[-1]}"
    if reader.rejected_rows:
        yield f"{reader.rejected_rows} rows have values that do not fit their column; they are in rejected_values."
