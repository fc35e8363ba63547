"""Cleaning of single values: any JSON becomes a clean value or raises ValueError."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tap_pipedrive import values
from tap_pipedrive.field_types import KINDS
from tap_pipedrive.streams.contacts import Person
from tap_pipedrive.streams.deals import Deal
from tap_pipedrive.values import encode
from tap_pipedrive.writer import Writer

from .harness import TOKEN, Say, account, encode_exactly, fake, loads, request, run, select

settings.register_profile("tap", settings.get_profile("patient"), max_examples=150)
settings.load_profile("tap")

CLEANERS: dict[Callable[[Any], Any], tuple[type, ...]] = {
    values.clean_text: (str,),
    values.clean_integer: (int,),
    values.clean_number: (int, Decimal),
    values.clean_boolean: (bool,),
    values.clean_timestamp: (datetime,),
    values.clean_date: (date,),
    values.clean_time: (str,),
    values.clean_duration: (str,),
    values.clean_list: (list,),
    values.clean_object: (dict,),
}
"""Every cleaner and the types that it may return besides None."""

numbers = st.one_of(
    st.integers(),
    st.integers(-(2**65), 2**65),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=17),
    st.sampled_from([Decimal("1E+999999"), Decimal("1E-999999"), Decimal("0E+5000"), 2**63, -(2**63)]),
)
almost = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat),
    st.dates().map(str),
    st.times().map(str),
    st.from_regex(r"\d{1,3}:\d\d(:\d\d)?Z?"),
    st.from_regex(r"[-+]?\d{0,4}-\d\d-\d\d[T ]?[\d:.]*(Z|[-+]\d\d:?\d\d)?", fullmatch=True),
    numbers.map(str),
    st.sampled_from(
        ["", " ", "0", "1", "true", "FALSE", "nan", "sNaN", "Infinity", "1_000", "1e5", "0x1f", "--1", "٣"]
    ),
)
"""Texts that resemble the input that a cleaner expects."""

scalars = st.one_of(st.none(), st.booleans(), numbers, almost, st.text())
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["id", "value", "until"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=400)
@given(value=anything)
@example(value=-(2**63))
@example(value="9999-12-31T23:59:59-01:00")
@example(value="0001-01-01T00:00:00+01:00")
@example(value={"value": {"value": {"id": []}}})
def test_any_value_is_cleaned_or_refused_and_a_clean_value_is_unchanged(value: Any) -> None:
    for clean, types in CLEANERS.items():
        try:
            cleaned = clean(value)
        except ValueError:
            continue
        assert cleaned is None or type(cleaned) in types, clean
        assert cleaned != "", clean
        if clean is values.clean_integer and cleaned is not None:
            assert -(2**63) <= cleaned < 2**63
        if isinstance(cleaned, datetime):
            assert cleaned.tzinfo is UTC
        assert clean(loads(encode(cleaned))) == cleaned, clean


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), -(2**63) + 1, 0])
@pytest.mark.parametrize("write", [int, str, Decimal])
def test_every_64_bit_number_is_accepted_as_an_integer(number: int, write: Callable[[int], Any]) -> None:
    assert values.clean_integer(write(number)) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**4000], ids=lambda n: f"{n.bit_length()}")
def test_a_larger_number_is_refused_as_an_integer(number: int) -> None:
    for written in (number, Decimal(number)):
        with pytest.raises(ValueError, match=r".+"):
            values.clean_integer(written)


@given(value=almost | st.from_regex(r"\d{1,3}:[0-5]\d(:[0-5]\d)?(\.\d+)?Z?", fullmatch=True))
def test_durations_are_written_as_plain_digits(value: str) -> None:
    try:
        cleaned = values.clean_duration(value)
    except ValueError:
        return
    assert cleaned is None or re.fullmatch(r"[0-9]{2,3}:[0-5][0-9]:[0-5][0-9]", cleaned)


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        ("2026-11-22T01:02:03Z", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        ("2026-11-22 01:02:03", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        ("2026-11-22T01:02:03.456Z", datetime(2026, 11, 22, 1, 2, 3, 456000, tzinfo=UTC)),
        ("2026-11-21T22:02:03-03:00", datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("0000-00-00 00:00:00", None),
        ("-0001-11-30T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_with_a_date_are_cleaned(sent: str | None, moment: datetime | None) -> None:
    assert values.clean_timestamp(sent) == moment


@pytest.mark.parametrize(
    "sent", ["2026-11-22", "20261122", "now", "2026-02-30T00:00:00Z", 1_700_000_000, [], {}]
)
def test_invalid_times_with_a_date_are_refused(sent: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.clean_timestamp(sent)


@pytest.mark.parametrize(
    ("sent", "day"),
    [
        ("2026-11-22", date(2026, 11, 22)),
        ("2026-11-22 00:00:00", date(2026, 11, 22)),
        ("2026-11-22T00:00:00.000Z", date(2026, 11, 22)),
        ("9999-12-31", date(9999, 12, 31)),
        ("0001-01-01", date(1, 1, 1)),
        ("0000-00-00", None),
        ("-0001-11-30", None),
        ("", None),
    ],
)
def test_dates_are_cleaned(sent: str, day: date | None) -> None:
    assert values.clean_date(sent) == day


@pytest.mark.parametrize("sent", ["2026-11-22T15:00:00Z", "2026-13-01", "22/11/2026", "tomorrow", 20261122])
def test_invalid_dates_are_refused(sent: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        values.clean_date(sent)


@pytest.mark.parametrize(
    ("sent", "clock", "duration"),
    [
        ("15:00", "15:00:00", "15:00:00"),
        ("15:00:00", "15:00:00", "15:00:00"),
        ("9:05", "09:05:00", "09:05:00"),
        ("15:00:59.000", "15:00:59", "15:00:59"),
        ("00:00", "00:00:00", "00:00:00"),
        ("", None, None),
        (None, None, None),
    ],
)
def test_times_of_day_and_durations_are_cleaned(
    sent: str | None, clock: str | None, duration: str | None
) -> None:
    assert values.clean_time(sent) == clock
    assert values.clean_duration(sent) == duration


def test_a_duration_may_exceed_a_day_but_a_time_of_day_may_not() -> None:
    assert values.clean_duration("100:30") == "100:30:00"
    with pytest.raises(ValueError, match=r".+"):
        values.clean_time("24:00")


exact_numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.from_regex(r"-?[1-9][0-9]{0,20}\.[0-9]{1,20}", fullmatch=True).map(Decimal),
    st.from_regex(r"-?0\.[0-9]{1,25}", fullmatch=True).map(Decimal),
    st.sampled_from([Decimal("12345678901234567.89"), Decimal("0.10"), Decimal("1E+20"), 10**17 + 1]),
)


@settings(max_examples=40)
@given(sent=st.lists(exact_numbers, min_size=1, max_size=20))
def test_numbers_keep_all_their_digits(sent: list[Decimal | int]) -> None:
    """They are followed from the bytes of an answer to those of a RECORD line, through the client's decoder."""
    with fake([Say(body=encode_exactly({"success": True, "data": sent}))]) as server:
        rows = _client(server.url).get(request("/api/v2/deals")).data
    out = io.TextIOWrapper(io.BytesIO())
    with redirect_stdout(out):
        Writer().write_records("deals", [{"n": values.clean_number(row)} for row in rows], version=1)
        out.flush()
        lines = out.buffer.getvalue().splitlines()
    written = [json.loads(line, parse_float=Decimal)["record"]["n"] for line in lines]
    assert [str(Decimal(number)) for number in written] == [str(Decimal(number)) for number in sent]


def _client(url: str) -> Any:
    from tap_pipedrive.auth import ApiToken
    from tap_pipedrive.client import Client

    return Client(ApiToken(url, TOKEN))


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'"a\u0000b"', "a\ufffdb"),
        (rb'"half \ud83d emoji"', "half \ufffd emoji"),
        (rb'"\udc00\ud800"', "\ufffd\ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd"),
        (rb'"\ud83d\ude00 \u00e7"', "\U0001f600 \u00e7"),
        (rb'"back\\u0000slash"', r"back\u0000slash"),
        (rb'{"k\u0000": ["\u0000"]}', {"k\ufffd": ["\ufffd"]}),
    ],
)
def test_characters_that_no_database_can_store_are_replaced(sent: bytes, read: Any) -> None:
    with fake([Say(body=b'{"success":true,"data":' + sent + b"}")]) as server:
        assert _client(server.url).get(request("/api/v2/deals")).data == read


def test_replacing_a_nul_character_keeps_numbers_exact() -> None:
    body = rb'{"success":true,"data":["\ud800\u0000", 12345678901234567.12345678901234567]}'
    with fake([Say(body=body)]) as server:
        assert _client(server.url).get(request("/api/v2/deals")).data[1] == Decimal(
            "12345678901234567.12345678901234567"
        )


@pytest.mark.parametrize("beside", ["", r"\ud83d", r"\u0000"])
@pytest.mark.parametrize(
    "number", ["9" * 5000, "-" + "9" * 2000, "0." + "1" * 5000, "1e999999999", "1e99999999999999999999"]
)
def test_a_number_too_large_for_any_database_becomes_text_at_any_depth(number: str, beside: str) -> None:
    with fake([Say(body=f'{{"success":true,"data":["{beside}",[{number}]]}}'.encode())]) as server:
        (found,) = _client(server.url).get(request("/api/v2/deals")).data[1]
    with pytest.raises(ValueError, match="not a number"):
        values.clean_number(found)
    assert str(found) == number


nonsense = {
    "id": 1,
    "title": {"a": 1},
    "value": [1],
    "add_time": "yesterday",
    "expected_close_date": "2026-02-30",
    "is_archived": "perhaps",
    "label_ids": "1,2",
    "owner_id": 2**70,
    "stage_id": 7,
}


def test_a_bad_value_becomes_null_and_a_reject_and_its_row_is_kept() -> None:
    from .harness import discover

    with fake(account({"/api/v2/deals": [nonsense]})) as server:
        chosen = select(discover(server.url), "deals", "rejected_values")
        done = run(server.url, catalog=chosen).good()
    row = done.records("deals")[0]
    bad = set(nonsense) - {"id", "stage_id"}
    assert (row["id"], row["stage_id"]) == (1, 7)
    assert {column: row[column] for column in bad} == dict.fromkeys(bad)
    kept = {reject["field"]: json.loads(reject["value"]) for reject in done.records("rejected_values")}
    assert kept == {column: nonsense[column] for column in bad}
    assert {reject["record_id"] for reject in done.records("rejected_values")} == {"1"}


@pytest.mark.parametrize(
    ("contacts", "first"),
    [
        ([{"value": "a", "primary": False}, {"value": "b", "primary": True}], "b"),
        ([{"value": "", "primary": True}, {"value": "b"}], "b"),
        ([None, "x", 3, {"primary": True}], None),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
def test_the_primary_e_mail_is_chosen(contacts: Any, first: str | None) -> None:
    assert Person.prepare({"emails": contacts})["primary_email"] == first


@pytest.mark.parametrize(
    ("reason", "text", "number"),
    [
        ("Price", "Price", None),
        ({"id": 3, "label": "Price"}, "Price", 3),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_a_lost_reason_is_read_from_text_or_object(reason: Any, text: str | None, number: int | None) -> None:
    deal = Deal.model_validate(Deal.prepare({"id": 1, "lost_reason": reason}))
    assert (deal.lost_reason, deal.lost_reason_id) == (text, number)


SECRET = "Zulmira"
around = st.text(max_size=6).map(str)
secrets = st.one_of(
    st.builds("{}{}{}".format, around, st.just(SECRET), around),
    st.sampled_from([f"2026-{SECRET}", f"0000-{SECRET}", f"12:{SECRET}", f"1{SECRET}", f"{SECRET},12"]),
)
hidden = st.recursive(
    secrets,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(
            st.sampled_from(["value", "id", "label", "until", "values", SECRET]), inner, min_size=1
        )
    ),
    max_leaves=4,
)


@given(value=hidden)
@example(value=f"2026-13-{SECRET}")
@example(value={SECRET: "x"})
def test_no_error_quotes_a_value(value: Any) -> None:
    """The reject of a deselected or mapped column loses its value but keeps the error."""
    options = {12: "Gold"}
    kinds = [partial(kind.read, value, options) for kind in KINDS.values()]
    for read in [*kinds, *(partial(clean, value) for clean in CLEANERS)]:
        assert SECRET not in error_of(read)


def error_of(read: Callable[[], Any]) -> str:
    try:
        read()
    except ValueError as error:
        return str(error)
    return ""
