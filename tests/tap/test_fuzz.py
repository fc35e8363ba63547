"""Pages of arbitrary JSON: the tap never ends in a traceback, and loses no good row beside a bad one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.rows import WHOLE_RECORD

from .harness import Asked, Record, Run, Say, discover, encode_exactly, fake, run, select

# JSON is built as text, because a library could not write half of these cases

NASTY = [
    *("0", "-0", "-1", "0.1", "1.0", "1e5", "1E400", "-1e-400", "1e999999999", "1e99999999999999999999"),
    *(
        "-9223372036854775809",
        "18446744073709551616",
        "null",
        "true",
        "false",
        '""',
        r'"\ud83d"',
        r'"\udc00 \u0000"',
    ),
    *(
        '"\x7f"',
        '"9999-12-31T23:59:59Z"',
        '"0000-00-00"',
        '"2026-02-30"',
        '"1e400"',
        '"NaN"',
        '"12,34,x"',
        "[[]]",
    ),
    *('{"id":1,"id":"twice"}', r'{"\u0000":{}}', '{"value":{"value":[]}}'),
]
BIG = ["9" * 5000, "9" * 3000, "0." + "1" * 5000, "[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200]
scalars = st.one_of(
    st.sampled_from(NASTY),
    st.integers(0, len(BIG) - 1).map(BIG.__getitem__),
    st.integers().map(str),
    st.text(st.characters(codec="utf-8"), max_size=8).map(json.dumps),
)
some_keys = st.sampled_from(
    [
        "id",
        "value",
        "name",
        "data",
        "next_cursor",
        "pagination",
        "additional_data",
        "start",
        "label",
        "options",
    ]
) | st.text(max_size=3)


def written(pairs: Sequence[tuple[str, str]]) -> str:
    """Return an object as text; keys may occur twice."""
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}"


def listed(items: Sequence[str]) -> str:
    return f"[{','.join(items)}]"


texts = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(listed)
        | st.lists(st.tuples(some_keys, inner), max_size=3).map(written)
    ),
    max_leaves=6,
)
broken = st.sampled_from(
    ["", "{", "nul", "NaN", "[1,]", '"\ud800"', "\x00", "<html>", "{}", "[]", "1e", "﻿{}"]
)


@st.composite
def mutated(draw: st.DrawFn, row: Record) -> str:
    """Return a real row in which some values are arbitrary, missing or duplicated."""
    names = st.sampled_from(sorted(row))
    changes = draw(st.dictionaries(names, st.none() | texts, max_size=4))
    pairs = [(key, changes.get(key, json.dumps(value, default=float))) for key, value in row.items()]
    twice = draw(st.lists(st.tuples(names, texts), max_size=2))
    return written([(key, text) for key, text in pairs if text is not None] + twice)


# An account in which each list has two good rows

LISTS = {
    "dealFields": "/api/v2/dealFields",
    "deals": "/api/v2/deals",
    "leads": "/api/v1/leads",
    "notes": "/api/v1/notes",
    "users": "/api/v1/users",
    "deal_products": "/api/v2/deals/products",
    "deal_followers": "/api/v2/deals/{id}/followers",
    "deal_changes": "/api/v1/deals/{id}/changelog",
}
CHILDREN = ("deal_products", "deal_followers", "deal_changes")
STREAMS = ("fields", *list(LISTS)[1:])
SETTINGS: Record = {"history": "all", "max_rejects": 1, "concurrency": 2}


@dataclass(frozen=True, repr=False)
class Lists:
    """The rows of each list, and the run that reads only these."""

    rows: dict[str, list[Record]]
    models: dict[str, Record]
    """The values that bad rows are made of."""
    catalog: Record
    records: dict[str, list[Record]]


@pytest.fixture(scope="module")
def good(shared: Sandbox) -> Lists:
    deals = [
        row
        for row in shared.rows("/api/v2/deals", include_fields="products_count,followers_count")
        if row["products_count"] and row["followers_count"] and row["update_time"]
        if row["id"] > 9 and shared.api(f"/api/v1/deals/{row['id']}/changelog").granted()["data"]
    ][:3]
    parent = deals[0]["id"]
    rows = {
        "dealFields": shared.rows("/api/v2/dealFields"),
        "deals": deals,
        **{name: shared.api(LISTS[name]).granted()["data"][:3] for name in ("leads", "notes", "users")},
        "deal_products": shared.rows("/api/v2/deals/products", deal_ids=parent)[:3],
        "deal_followers": shared.rows(f"/api/v2/deals/{parent}/followers")[:3],
        "deal_changes": shared.api(f"/api/v1/deals/{parent}/changelog").granted()["data"][:3],
    }
    assert all(rows.values())
    catalog = select(discover(shared.url), *STREAMS, "rejected_values")
    done = read({name: kept(name, rows) for name in LISTS}, catalog).good()
    models = {name: several[-1] for name, several in rows.items()}
    models["dealFields"] = models["dealFields"] | {"field_code": "f" * 40, "field_name": "Unheard of"}
    return Lists(rows, models, catalog, {stream: done.records(stream) for stream in STREAMS})


def kept(name: str, rows: Mapping[str, list[Record]]) -> list[str]:
    """Return the good rows of a list as the API sends them."""
    several = rows[name] if name == "dealFields" else rows[name][:2]
    return [encode_exactly(row).decode() for row in several]


def serving(
    rows: Mapping[str, Sequence[str]], bodies: Mapping[str, str] | None = None
) -> Callable[[Asked], Say]:
    """Serve lists of rows as text; a body may replace a list's page."""
    patterns = {name: re.compile(path.replace("{id}", "[^/]+")) for name, path in LISTS.items()}
    headers = {"x-ratelimit-limit": "100000"}

    def answer(asked: Asked) -> Say:
        name = next((name for name, pattern in patterns.items() if pattern.fullmatch(asked.path)), "")
        body = f'{{"success":true,"data":{listed(rows.get(name, ()))}}}'
        body = (bodies or {}).get(name, body)
        return Say(body=body.encode("utf-8", "surrogatepass"), headers=headers)

    return answer


def read(rows: Mapping[str, Sequence[str]], catalog: Record, bodies: Mapping[str, str] | None = None) -> Run:
    """Run the tap without waits between retries."""
    with pytest.MonkeyPatch.context() as patch, fake(serving(rows, bodies)) as server:
        patch.setattr(time, "sleep", lambda _: None)
        return run(server.url, catalog=catalog, **SETTINGS)


def holds(record: Record, row: Record) -> bool:
    """Return whether a record is this row, apart from added columns and the number of a change."""
    numbers = ("change_id", "sequence")
    return all(name in numbers or record.get(name, ...) == value for name, value in row.items())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_arbitrary_row_costs_no_good_row_beside_it(good: Lists, data: st.DataObject) -> None:
    rows: dict[str, list[str]] = {}
    bad: dict[str, int] = {}
    for name in LISTS:
        anything = data.draw(st.lists(mutated(good.models[name]) | texts, max_size=3), name)
        rows[name] = kept(name, good.rows)
        bad[name] = len(anything)
        for text in anything:
            rows[name].insert(data.draw(st.integers(0, len(rows[name]))), text)
    done = read(rows, good.catalog).good()
    for stream in STREAMS[1:]:
        records = done.records(stream)
        lost = [one for one in done.records("rejected_values") if one["stream"] == stream]
        for row in good.records[stream]:
            assert any(holds(record, row) for record in records), f"{stream}: a good row is lost"
        if stream not in CHILDREN:
            # A list that lacks what a row refers to is read twice.
            whole = [one for one in lost if one["field"] == WHOLE_RECORD]
            assert len(records) + len(whole) >= len(good.records[stream]) + bad[stream]


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted(LISTS)), data=texts, extra=texts, body=st.none() | texts | broken)
@example("deals", "[]", '{"next_cursor":"\\ud800"}', None)
def test_an_arbitrary_page_ends_in_one_sentence_at_most(
    good: Lists, name: str, data: str, extra: str, body: str | None
) -> None:
    rows = {name: kept(name, good.rows) for name in LISTS}
    if body is None:
        body = f'{{"success":true,"data":{data},"additional_data":{extra}}}'
    done = read(rows, good.catalog, {name: body})
    if not isinstance(done.error, PipedriveError):
        done.good()
