"""The streams: the SDK's standard tests, catalog snapshots, and a comparison with the documented API.

After a wanted change of a stream's built-in columns, write the snapshots again and review the difference:

UPDATE_CATALOG=1 pytest tests/tap/test_streams.py
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pipedrive_sandbox.testing import Sandbox
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from tap_pipedrive.children import ChildListing
from tap_pipedrive.columns import PARAMETERS
from tap_pipedrive.definitions import FIELD_LISTINGS
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import OptionalStream, PipedriveStream
from tap_pipedrive.tap import TapPipedrive

from ..api.documented import PRICES as DOCUMENTED_PRICES
from ..api.documented import row_keys
from .harness import AT_ONCE, PRICES, TOKEN, Record, Run, account, discover, fake, lists_of, run, select

SNAPSHOTS = Path(__file__).with_name("catalog")
BY_NAME: dict[str, type[PipedriveStream]] = {vars(one)["name"]: one for one in STREAMS}

# The sandbox starts here, because the SDK's test class asks for the streams when it is created.
_sandbox = Sandbox(deals=60, daily_budget=10**9).__enter__()

EVERYTHING = select(discover(_sandbox.url), *BY_NAME)

TestStandards = get_tap_test_class(
    TapPipedrive,
    config={"api_url": _sandbox.url, "api_token": TOKEN, **AT_ONCE},
    catalog=EVERYTHING,
    suite_config=SuiteConfig(
        ignore_no_records_for_streams=[
            *("rejected_values", "run_statements", "schema_changes", "source_counts", "source_samples")
        ]
    ),
)


@pytest.fixture(scope="module", autouse=True)
def _end_of_sandbox() -> Any:
    yield
    _sandbox.__exit__(None, None, None)


# The catalog


@pytest.fixture(scope="module")
def catalog() -> dict[str, Record]:
    """Return entries by stream without custom fields, which depend on the account."""
    return {
        entry["tap_stream_id"]: entry for entry in discover(_sandbox.url, custom_fields="json")["streams"]
    }


@pytest.mark.parametrize("name", BY_NAME)
def test_the_catalog_equals_its_snapshots(catalog: dict[str, Record], name: str) -> None:
    entry = catalog[name]
    metadata = {
        ".".join(item["breadcrumb"]) or "(stream)": item["metadata"] for item in entry.pop("metadata")
    }
    found = json.dumps({**entry, "metadata": metadata}, indent=2, ensure_ascii=False) + "\n"
    snapshot = SNAPSHOTS / f"{name}.json"
    if os.environ.get("UPDATE_CATALOG"):
        SNAPSHOTS.mkdir(exist_ok=True)
        snapshot.write_text(found)
    assert snapshot.exists(), "new stream: write its snapshot, see the head of this file"
    assert json.loads(found) == json.loads(snapshot.read_text())


def test_every_snapshot_belongs_to_a_stream() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(BY_NAME)


def classes(of: type[PipedriveStream]) -> set[type[PipedriveStream]]:
    """Return the tap's streams that are subclasses of a class."""
    found = {one for one in of.__subclasses__() if one.__module__.startswith("tap_pipedrive.streams.")}
    return found.union(*(classes(one) for one in of.__subclasses__()))


def test_every_stream_class_is_read_in_a_run() -> None:
    assert classes(PipedriveStream) == set(STREAMS)
    assert len(BY_NAME) == len(STREAMS) == len({one.entity for one in STREAMS})
    optional = {one for one in STREAMS if not one.selected_by_default}
    assert classes(OptionalStream) == optional


def test_a_run_begins_with_the_cheap_default_streams() -> None:
    names = list(BY_NAME)
    for name, one in BY_NAME.items():
        for listing in one.listings:
            if isinstance(listing, ChildListing):
                assert names.index(listing.parents.stream) < names.index(name)
    assert names.index("deals") < names.index("files") < names.index("deal_products")
    assert names.index("deal_products") < names.index("deal_installments") < names.index("deal_followers")
    assert names.index("deal_followers") < names.index("deal_changes") < names.index("person_changes")
    assert names[-6:] == [
        "field_columns",
        "rejected_values",
        "run_statements",
        "schema_changes",
        "source_counts",
        "source_samples",
    ]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_stream_class_only_has_attributes(name: str) -> None:
    one = BY_NAME[name]
    assert not [
        attribute for attribute, value in vars(one).items() if callable(value) and attribute != "entity"
    ]
    assert set(one.primary_keys) <= one.entity.model_fields.keys()
    assert one.__doc__
    replication_key = vars(one).get("replication_key")
    assert replication_key is None or replication_key in one.entity.model_fields
    names = [listing.name for listing in one.listings]
    assert len(set(names)) == len(names)
    assert len(names) <= 1 or all(names)


def test_column_names_are_valid_in_a_warehouse() -> None:
    for one in STREAMS:
        for column in one.entity.columns():
            assert re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", column), column
            assert column not in PARAMETERS, "target-postgres cannot mark its table's rows as deleted"


# Prices


def test_each_endpoint_has_one_price() -> None:
    priced = {(listing.path, listing.price) for one in STREAMS for listing in lists_of(one)}
    assert len(priced) == len(dict(priced))
    assert priced < set(PRICES.items())


def test_prices_equal_the_documented_ones() -> None:
    assert {path: DOCUMENTED_PRICES.get(path) for path in PRICES} == PRICES


def test_a_run_costs_the_tokens_that_the_sandbox_counts(living: Sandbox) -> None:
    done = run(living.url, catalog=EVERYTHING).good()
    assert done.tap
    assert done.tap.run.client.limits.tokens_spent == living.stats()["tokens"]


# Fields


ELSEWHERE: dict[str, dict[str, str]] = {
    "/api/v2/deals": {"custom_fields": "columns of their own"},
    "/api/v2/deals/archived": {"custom_fields": "columns of their own"},
    "/api/v2/persons": {"custom_fields": "columns of their own"},
    "/api/v2/organizations": {"custom_fields": "columns of their own"},
    "/api/v2/products": {"custom_fields": "columns of their own"},
    "/api/v1/notes": dict.fromkeys(
        ("deal", "lead", "organization", "person", "project", "task", "user"),
        "a stub of the record that an id names",
    ),
    "/api/v1/callLogs": {"company_id": "the account"},
    "/api/v1/deals/{id}/participants": {
        "person": "a stub of the record that person_id names",
        **dict.fromkeys(("related_item_data", "related_item_id", "related_item_type"), "the deal"),
    },
    "/api/v1/files": dict.fromkeys(
        ("deal_name", "lead_name", "org_name", "person_name", "product_name", "project_name"),
        "of the record that an id names",
    ),
    "/api/v1/goals/find": dict.fromkeys(
        ("type", "assignee", "duration", "expected_outcome"), "columns for each of its parts"
    ),
    "/api/v1/mailbox/mailThreads/{id}/mailMessages": dict.fromkeys(
        ("from", "to", "cc", "bcc"), "from_parties and the like, as `from` is a word of SQL"
    ),
    "/api/v1/notes/{id}/comments": {
        **dict.fromkeys(("object_id", "object_type"), "note_id"),
        "company_id": "the account",
    },
    "/api/v1/organizationRelationships": dict.fromkeys(
        ("calculated_type", "calculated_related_org_id", "related_organization_name"),
        "the view from the organization that was asked for",
    ),
    "/api/v1/mailbox/mailThreads": {"version": "thread_version"},
    "/api/v1/webhooks": {
        "company_id": "the account",
        "version": "webhook_version",
        **dict.fromkeys(("http_auth_user", "http_auth_password"), "secrets have no place in a warehouse"),
    },
    "/api/v2/projects": {"custom_fields": "columns of their own"},
    "/api/v2/projects/archived": {"custom_fields": "columns of their own"},
    **{
        path: {
            "options": "the stream field_options",
            **dict.fromkeys(
                ("ui_visibility", "important_fields", "required_fields"),
                "how the web app shows it; sent only on request",
            ),
        }
        for path in (listing.path for listing in FIELD_LISTINGS.values())
    },
}
"""Keys that the API documents and the models leave out, with the reason."""


@pytest.mark.parametrize(
    ("name", "path"),
    sorted({(name, listing.path) for name, one in BY_NAME.items() for listing in lists_of(one)}),
)
def test_models_have_every_documented_key(name: str, path: str) -> None:
    keys = row_keys(path)
    assert keys, "no documented rows"
    if name == "field_options":
        assert "options" in keys
        return
    missing = keys - BY_NAME[name].entity.model_fields.keys()
    assert missing <= ELSEWHERE.get(path, {}).keys()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_requested_key_has_a_column(name: str) -> None:
    for listing in BY_NAME[name].listings:
        if isinstance(listing, CursorListing):
            asked = set(filter(None, listing.params.get("include_fields", "").split(",")))
            assert asked <= BY_NAME[name].entity.model_fields.keys()


def test_every_key_of_the_sandbox_is_known(caplog: pytest.LogCaptureFixture) -> None:
    done = run(_sandbox.url, catalog=EVERYTHING, history="all").good()
    assert done.tap
    for one in done.tap.streams.values():
        assert isinstance(one, PipedriveStream)
        assert dict(one.reader.unknown_keys) == {}, one.name
    assert "no column here" not in caplog.text


def test_an_unknown_key_is_logged_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"id": n, "brand_new": n, "other": None} for n in range(3)]
    with fake(account({"/api/v1/users": rows})) as server:
        done = run(server.url).good()
    assert len(done.records("users")) == 3
    said = [one.getMessage() for one in caplog.records if "brand_new" in one.getMessage()]
    assert len(said) == 1
    assert "3 rows" in said[0]
    assert "users" in said[0]
    assert [one.levelno for one in caplog.records if "brand_new" in one.getMessage()] == [logging.WARNING]


WITHOUT_CUSTOM_FIELDS = {
    "notes": "/api/v1/notes",
    "stages": "/api/v2/stages",
    "pipelines": "/api/v2/pipelines",
    "deal_products": "/api/v2/deals/products",
}


@pytest.mark.parametrize(("name", "path"), WITHOUT_CUSTOM_FIELDS.items())
def test_custom_fields_of_streams_without_columns_for_them_are_logged_as_unknown_keys(
    name: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = "0123456789abcdef0123456789abcdef01234567"
    customs: list[Any] = [{key: 5}, None, {}, {key: None}, {key: ""}, "text"]
    rows = [{"id": n, "deal_id": 1, "custom_fields": custom} for n, custom in enumerate(customs, 1)]
    with fake(account({"/api/v2/deals": [{"id": 1}], path: rows})) as server:
        done = run(server.url).good()
    assert len(done.records(name)) == len(rows)
    (warning,) = [text for text in caplog.messages if "custom_fields (" in text]
    assert warning.startswith(f"{name}: Pipedrive sent keys that have no column here")
    assert "custom_fields (2 rows)" in warning


def test_no_stream_without_custom_fields_hides_unknown_keys() -> None:
    assert [stream for stream in STREAMS if "custom_fields" in stream.ignored_keys] == []


# Rows compared with the sandbox


@pytest.fixture(scope="module")
def everything() -> Run:
    """One run that reads all streams."""
    return run(_sandbox.url, catalog=EVERYTHING).good()


@pytest.mark.parametrize(
    "name",
    [
        "users",
        "pipelines",
        "stages",
        "activity_types",
        "currencies",
        "lead_labels",
        "fields",
        "field_options",
        "lead_sources",
        "roles",
        "permission_sets",
        "filters",
        "goals",
        "webhooks",
        "project_boards",
        "project_phases",
        "project_templates",
        "projects",
        "tasks",
        "product_variations",
    ],
)
def test_small_lists_are_complete(everything: Run, name: str) -> None:
    rows = everything.records(name)
    keys = [tuple(row[key] for key in BY_NAME[name].primary_keys) for row in rows]
    truth = _sandbox.truth(name)
    if name in ("fields", "field_options"):
        truth = truth + _sandbox.truth(f"project_{name}")
    assert len(set(keys)) == len(keys) == len(truth)


def test_every_record_matches_its_schema() -> None:
    """The schema is the one that was sent, including formats."""
    done = run(_sandbox.url, catalog=EVERYTHING, history="all").good()
    for name in BY_NAME:
        schema = done.of("SCHEMA", name)[-1]["schema"]
        validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        for row in done.records(name):
            assert row.keys() == schema["properties"].keys()
            plain = json.loads(json.dumps(row, default=float))
            assert list(validator.iter_errors(plain)) == []


def test_schemas_precede_records_and_name_the_keys(everything: Run) -> None:
    known: set[str] = set()
    for message in everything.messages:
        if message["type"] == "SCHEMA":
            known.add(message["stream"])
            assert message["key_properties"] == list(BY_NAME[message["stream"]].primary_keys)
        elif message["type"] == "RECORD":
            assert message["stream"] in known
            assert re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", message["time_extracted"]
            )
