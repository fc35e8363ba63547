"""First drafts of what a new stream needs beside the tap: staging model, tests' contract, catalog snapshot."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tap_pipedrive import values
from tap_pipedrive.children import ChildListing
from tap_pipedrive.sync import PipedriveStream
from tap_pipedrive.tap import TapPipedrive

GROUPS = ("ids", "strings", "numerics", "booleans", "dates", "timestamps")
"""Groups of columns in a staging model, in their order."""

SPECIAL = {
    "add_time": "created_at",
    "update_time": "updated_at",
    "time": "changed_at",
    "active_flag": "is_active",
}
"""Names in the warehouse of some columns of the API."""

KINDS = {
    "integer": '"bigint"',
    "number": '"numeric"',
    "boolean": '"boolean"',
    "array": '"jsonb"',
    "object": '"jsonb"',
    "date-time": "TIMESTAMP",
    "date": '"date"',
    "clock": "CLOCK",
    "string": '"text"',
}
"""Kinds of columns in the contract of the tests, by the type or format in JSON Schema."""


def singular(stream: type[PipedriveStream]) -> str:
    """Return the name of one row of a stream."""
    name = str(vars(stream)["name"])
    return name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")


def json_type(schema: Mapping[str, Any]) -> str:
    """Return the type in JSON Schema of what is not null."""
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return str(next(each for each in types if each != "null"))


def kind(stream: type[PipedriveStream], column: str, schema: Mapping[str, Any]) -> str:
    """Return the type or format of a column in JSON Schema; `clock` for a time of day or a duration."""
    cleaner = stream.entity.model_fields[column].metadata[0].func
    if cleaner in (values.clean_time, values.clean_duration):
        return "clock"
    return str(schema.get("format") or json_type(schema))


def contract(text: str, streams: Iterable[type[PipedriveStream]]) -> str:
    """Return the contract of the tests with an entry for each stream that has none, to be checked by hand."""
    for stream in streams:
        name = str(vars(stream)["name"])
        entries, _, _ = text.partition('"""The same for the tables')
        if f'\n    "{name}": ' in entries:
            continue
        kinds: dict[str, list[str]] = {}
        for column, schema in stream.entity.columns().items():
            kinds.setdefault(KINDS[kind(stream, column, schema)], []).append(column)
        lines = [
            f'    "{name}": {{',
            *(f'        {each}: "{" ".join(them)}",' for each, them in kinds.items()),
            "    },",
        ]
        mark = '"""Built-in columns' if stream.selected_by_default else '"""The same for the tables'
        text = text.replace("}\n" + mark, "\n".join(lines) + "\n}\n" + mark)
        keys = tuple(stream.primary_keys)
        (child,) = [each for each in stream.listings if isinstance(each, ChildListing)] or [None]
        if keys == ("change_id",) and child:
            keys = (child.key, "sequence")
        if keys != ("id",):
            columns = ", ".join(f'"{key}"' for key in keys) + ("," if len(keys) == 1 else "")
            text = text.replace(
                '}\n"""What tells rows apart', f'    "{name}": ({columns}),\n}}\n"""What tells rows apart'
            )
        if child:
            entry = f'    "{name}": ("{child.parents.stream}", "{child.key}", "update_time"),\n'
            text = text.replace(
                '}\n"""Tables whose rows come again', entry + '}\n"""Tables whose rows come again'
            )
    return text


def renamed(stream: type[PipedriveStream]) -> list[tuple[str, str, str, str]]:
    """Return (group, expression, name, column) of each column of a staging model."""
    found = []
    key = f"{singular(stream)}_id"
    for column, schema in stream.entity.columns().items():
        is_key = column in ("id", "change_id") and column in stream.primary_keys
        name = key if is_key else SPECIAL.get(column, re.sub("_time$", "_at", column))
        what = kind(stream, column, schema)
        if what == "date-time":
            found.append(("timestamps", f"{column} at time zone 'UTC'", name, column))
        elif column.endswith("_id") or is_key:
            found.append(("ids", column, name, column))
        else:
            group = {"integer": "numerics", "number": "numerics", "boolean": "booleans", "date": "dates"}.get(
                what
            )
            name = re.sub("^(?!is_|has_)(.*?)(_flag)?$", r"is_\1", name) if what == "boolean" else name
            found.append((group or "strings", column, name, column))
    return sorted(found, key=lambda each: GROUPS.index(each[0]))


def staging_model(stream: type[PipedriveStream]) -> str:
    """Return a draft of a staging model."""
    lines, group = [], ""
    for each, expression, name, _ in renamed(stream):
        if each != group:
            lines += [""] * bool(lines) + [f"        -- {each}"]
            group = each
        lines.append(f"        {expression}," if expression == name else f"        {expression} as {name},")
    columns = "\n".join(lines)
    return f"""with

source as (
    select * from {{{{ raw_table('{vars(stream)["name"]}') }}}}
),

renamed as (
    select
{columns}

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
"""


def staging_yaml(stream: type[PipedriveStream]) -> str:
    """Return a draft of the description of a staging model."""
    fields = stream.entity.model_fields
    key = [name for *_, name, column in renamed(stream) if column in stream.primary_keys]
    lines = []
    for *_, name, column in renamed(stream):
        said = fields[column].description or f"{column.replace('_', ' ').capitalize()}, as in Pipedrive"
        lines += [
            f"      - name: {name}",
            f"        description: {json.dumps(said.rstrip('.') + '.', ensure_ascii=False)}",
        ]
        if key == [name]:
            lines += ["        data_tests:", "          - not_null", "          - unique"]
    columns = "\n".join(lines)
    return f"""models:
  - name: stg_pipedrive__{vars(stream)["name"]}
    description: One row per {singular(stream).replace("_", " ")}.
    columns:
{columns}
      - name: _sdc_extracted_at
        description: When the row was read from Pipedrive.
"""


def snapshot(stream: type[PipedriveStream]) -> str:
    """Return the catalog entry of a stream, without the account's custom fields."""
    tap = TapPipedrive(config={"api_token": "none", "custom_fields": "json"}, setup_mapper=False)
    tap.run.definitions.is_unavailable = True  # so that nothing asks the API
    entry = next(each for each in tap.streams.values() if isinstance(each, stream)).catalog_entry.to_dict()
    metadata = {
        ".".join(item["breadcrumb"]) or "(stream)": item["metadata"] for item in entry.pop("metadata")
    }
    return json.dumps({**entry, "metadata": metadata}, indent=2, ensure_ascii=False) + "\n"
