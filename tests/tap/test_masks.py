"""The setting `mask`: hidden values appear in no message, and hashed values can still be joined."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from .harness import (
    Asked,
    Record,
    Run,
    Say,
    account,
    discover,
    fake,
    field_definition,
    replay,
    run,
    say,
    select,
)

DATE = "Mon, 23 Nov 2026 01:00:00 GMT"
"""A day on which the checks sample persons."""
SECRET = "a key that nobody can guess"
EMAIL, PHONE, NAME, CPF, STREET = (
    "Ana.Souza@Example.com",
    "+55 11 91234-5678",
    "Ana Souza",
    "123.456.789-09",
    "Rua Augusta 1",
)
PLAIN = (EMAIL, PHONE, NAME, CPF, STREET)
KEYS = {"cpf": "c" * 40, "home": "d" * 40, "born": "b" * 40, "level": "e" * 40}
FIELDS = [
    field_definition(KEYS["cpf"], "CPF", "varchar"),
    field_definition(KEYS["home"], "Home", "address"),
    field_definition(KEYS["born"], "Born", "date"),
    field_definition(KEYS["level"], "Level", "enum", [{"id": 1, "label": "Gold"}]),
]
MASK = {"persons": ["name", "emails", "phones", "cpf", "home"]}


def hashed(text: str, key: str = SECRET) -> str:
    digest = hmac.new(key.encode(), text.strip().lower().encode(), hashlib.sha256).hexdigest()[:32]
    return f"{digest}@masked.invalid" if "@" in text else digest


PERSON: Record = {
    "id": 1,
    "name": NAME,
    "first_name": "Ana",
    "last_name": "Souza",
    "emails": [{"value": EMAIL, "primary": True, "label": "work"}],
    "phones": [{"value": PHONE, "primary": True, "label": "mobile"}],
    "add_time": "2026-10-01T00:00:00Z",
    "update_time": "2026-10-02T00:00:00Z",
    "custom_fields": {
        KEYS["cpf"]: CPF,
        KEYS["home"]: {"value": STREET, "country": "Brazil"},
        KEYS["born"]: "1990-01-31",
        KEYS["level"]: 1,
    },
}
CHANGES = [
    {"field_key": "email", "old_value": "", "new_value": EMAIL, "time": "2026-10-01 10:00:00"},
    {"field_key": "name", "old_value": NAME, "new_value": "Ana S.", "time": "2026-10-01 11:00:00"},
    {"field_key": KEYS["cpf"], "old_value": None, "new_value": CPF, "time": "2026-10-01 12:00:00"},
    {"field_key": "owner_id", "old_value": "1", "new_value": "2", "time": "2026-10-01 13:00:00"},
]


def world(person: Record = PERSON) -> Any:
    """Serve an account of one person."""

    def answer(asked: Asked) -> Say | None:
        lists: dict[str, list[Any]] = {
            "/api/v2/personFields": FIELDS,
            "/api/v2/persons": [person],
            "/api/v1/persons/1/changelog": CHANGES[::-1],
            "/api/v1/users": [{"id": 1, "email": EMAIL}],
        }
        rows = lists.get(asked.path)
        if rows is None:
            return None
        return replace(say({"success": True, "data": rows}, x_ratelimit_limit="480"), date=DATE)

    return account({}, spoil=answer)


def read(url: str, mask: Any = MASK, state: Record | None = None, **settings: Any) -> Run:
    catalog = select(discover(url), *STREAMS)
    return run(url, catalog=catalog, state=state, **{"mask": mask, "mask_key": SECRET, **settings})


STREAMS = (
    "persons", "person_changes", "rejected_values", "source_counts", "source_samples", "field_columns", "fields",
    "run_statements",
)  # fmt: skip


def texts(done: Run) -> str:
    return json.dumps(done.messages, default=str, ensure_ascii=False)


def test_masked_values_appear_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    """Messages are rows, samples, histories and states; the log is checked as well."""
    caplog.set_level("DEBUG")
    with fake(world()) as server:
        done = read(server.url, source_checks="each", custom_fields="both").good()
    assert done.records("source_samples")
    assert len(done.records("person_changes")) == len(CHANGES)
    for plain in (*PLAIN, "Souza", "Brazil"):
        assert plain not in texts(done)
        assert plain not in caplog.text
    assert SECRET not in texts(done) + caplog.text


def test_hashes_depend_on_the_key_and_are_equal_for_equal_texts() -> None:
    with fake(world()) as server:
        done = read(server.url).good()
        other = read(server.url, mask_key="another key of some length").good()
    (row,) = done.records("persons")
    assert (row["name"], row["first_name"], row["last_name"]) == (
        hashed(NAME),
        hashed("Ana"),
        hashed("Souza"),
    )
    assert row["emails"] == [{"value": hashed(EMAIL), "primary": True, "label": hashed("work")}]
    assert row["primary_email"] == hashed(EMAIL)
    assert (row["phones"][0]["value"], row["primary_phone"]) == (hashed(PHONE), hashed(PHONE))
    assert (row["cpf"], row["home"], row["home_country"]) == (hashed(CPF), hashed(STREET), hashed("Brazil"))
    assert row["home_postal_code"] is None
    assert (row["born"], row["level"]) == ("1990-01-31", "Gold"), "these columns are not masked"
    changes = {each["field_key"]: each for each in done.records("person_changes")}
    assert changes["email"]["new_value"] == hashed(EMAIL)
    assert changes["name"]["old_value"] == hashed(NAME)
    assert changes[KEYS["cpf"]]["new_value"] == hashed(CPF)
    assert changes["owner_id"]["new_value"] == "2"
    assert other.records("persons")[0]["cpf"] == hashed(CPF, "another key of some length")


def test_hashes_of_a_person_are_equal_whatever_the_case() -> None:
    with fake(world(PERSON | {"emails": [{"value": f" {EMAIL.upper()} ", "primary": True}]})) as server:
        done = read(server.url).good()
    assert done.records("persons")[0]["primary_email"] == hashed(EMAIL)


def test_dropped_values_are_null_and_need_no_key() -> None:
    mask = {"persons": {"emails": "drop", "born": "drop", "level": "drop", "home": "drop"}}
    with fake(world()) as server:
        done = read(server.url, mask, mask_key="").good()
        listed = read(server.url, {"persons": ["emails", "born"]}, mask_method="drop", mask_key="").good()
    (row,) = done.records("persons")
    for column in ("emails", "primary_email", "born", "level", "level_id", "home", "home_country"):
        assert row[column] is None
    assert row["name"] == NAME
    assert listed.records("persons")[0]["born"] is None


def test_a_rule_for_a_column_wins_over_the_rule_for_copies_of_its_data() -> None:
    mask = {"persons": {"emails": "drop", "primary_email": "hash"}}
    with fake(world()) as server:
        (row,) = read(server.url, mask).good().records("persons")
    assert (row["emails"], row["primary_email"]) == (None, hashed(EMAIL))


def test_raw_fields_and_the_overflow_contain_no_masked_value() -> None:
    by_key = {"persons": {KEYS["cpf"]: "hash", KEYS["home"]: "drop"}}
    with fake(world()) as server:
        raw = read(server.url, by_key, custom_fields="json").good().records("persons")[0]
        overflow = read(server.url, MASK, max_custom_field_columns=0).good().records("persons")[0]
    assert raw["custom_fields"][KEYS["cpf"]] == hashed(CPF)
    assert raw["custom_fields"][KEYS["home"]] is None
    assert overflow["custom_fields_overflow"][KEYS["cpf"]] == hashed(CPF)
    assert not [
        plain for plain in PLAIN if plain in json.dumps([raw["custom_fields"], overflow], default=str)
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"emails": {"value": EMAIL}},
        {"emails": EMAIL},
        {"phones": 5511912345678},
        {"name": {"first": NAME}},
        {"id": None},
        {"custom_fields": [CPF]},
    ],
    ids=str,
)
def test_rejected_rows_contain_no_masked_value(broken: Record) -> None:
    with fake(world(PERSON | broken)) as server:
        done = read(server.url, missing="note", max_rejects=1).good()
    for plain in (*PLAIN, "5511912345678"):
        assert plain not in texts(done)
    rejected = done.records("rejected_values")
    assert {row["value"] for row in rejected} <= {None}


def test_rejected_lines_of_a_history_contain_no_masked_value() -> None:
    strange = [
        {
            "field_key": "email",
            "old_value": {"was": EMAIL},
            "new_value": [EMAIL],
            "time": "2026-10-01 10:00:00",
        }
    ]

    def answer(asked: Asked) -> Say | None:
        if asked.path == "/api/v1/persons/1/changelog":
            return say({"success": True, "data": strange}, x_ratelimit_limit="480")
        return world()(asked)  # type: ignore[no-any-return]

    with fake(account({}, spoil=answer)) as server:
        done = read(server.url).good()
    assert done.records("rejected_values")
    assert EMAIL not in texts(done)


def test_keys_of_masked_changes_cannot_be_guessed_from_the_value() -> None:
    """Without the mask key, such a key hashes the value, and a phone number could be found by trying all of
    them.
    """
    with fake(world()) as server:
        hidden, plain = read(server.url).good(), read(server.url, {}).good()
        again = read(server.url, mask_key="another key of some length").good()
    keys = [
        {each["field_key"]: each["change_id"] for each in one.records("person_changes")}
        for one in (hidden, plain)
    ]
    assert keys[0]["owner_id"] == keys[1]["owner_id"]
    assert keys[0]["email"] != keys[1]["email"]
    assert len(set(keys[0].values())) == len(CHANGES)
    assert {each["change_id"] for each in again.records("person_changes")} == set(keys[0].values())


def test_a_list_with_masked_values_is_not_cached(tmp_path: Any) -> None:
    kept: dict[str, Any] = {"cache_seconds": 3600, "cache_dir": str(tmp_path), "reference_max_age": 24}
    with fake(world()) as server:
        catalog = select(discover(server.url), "users", "persons")
        for mask in ({"users": ["email"]}, {}):
            run(server.url, catalog=catalog, mask=mask, mask_key=SECRET, **kept).good()
            contents = b"".join(path.read_bytes() for path in tmp_path.iterdir())
            assert (EMAIL.encode() in contents) is (mask == {})


# Invalid rules


WRONG: dict[str, tuple[Any, str]] = {
    "a stream": ({"person": ["name"]}, "there is no stream person; did you mean persons?"),
    "a column": ({"users": ["emial"]}, "users has no column emial; did you mean email?"),
    "a custom column": ({"persons": ["cfp"]}, "persons has no column cfp; did you mean cpf?"),
    "a key": ({"persons": ["id"]}, "rows of persons are told apart or read by id: leave it out."),
    "a bookmark": ({"persons": {"update_time": "drop"}}, "told apart or read by update_time"),
    "a date": (
        {"persons": ["born"]},
        'born of persons holds no text, and cannot have a hash: write {"persons": {"born": "drop"}}.',
    ),
    "an option": ({"persons": ["level"]}, "level of persons holds no text"),
    "a number": ({"persons": ["org_id"]}, "org_id of persons holds no text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_invalid_rule_ends_in_one_sentence_and_writes_no_row(case: str) -> None:
    mask, sentence = WRONG[case]
    with fake(world()) as server:
        catalog = select(discover(server.url), "persons", "users")
        done = run(server.url, catalog=catalog, mask=mask, mask_key=SECRET)
    assert sentence in str(done.error)
    assert done.records(next(iter(mask))) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mask": {"persons": ["name"]}}, "Setting mask_key is missing"),
        ({"mask": {"persons": ["name"]}, "mask_key": "short"}, "Setting mask_key"),
        ({"mask": {"persons": {"name": "scramble"}}, "mask_key": SECRET}, "Setting mask: persons is neither"),
        ({"mask": {"persons": "name"}, "mask_key": SECRET}, "Setting mask: persons is neither"),
    ],
)
def test_malformed_mask_settings_are_reported(shared: Sandbox, settings: Record, sentence: str) -> None:
    done = run(shared.url, **settings)
    assert sentence in str(done.error)
    assert str(done.error).count("Setting") == 1
    assert "short" not in str(done.error)


def test_a_rule_may_name_the_column_of_a_deleted_field() -> None:
    with fake(world()) as server:
        first = read(server.url).good()

    def without(asked: Asked) -> Say | None:
        if asked.path == "/api/v2/personFields":
            return say({"success": True, "data": FIELDS[1:]}, x_ratelimit_limit="480")
        newer = PERSON | {"update_time": "2026-11-21T00:00:00Z"}
        return world(newer)(asked)  # type: ignore[no-any-return]

    with fake(account({}, spoil=without)) as server:
        second = read(server.url, state=first.state).good()
    assert second.records("persons")[0]["custom_fields_overflow"] == {KEYS["cpf"]: hashed(CPF)}


# Changes of the setting


def test_a_changed_mask_has_all_rows_read_again(living: Sandbox) -> None:
    catalog = select(discover(living.url), "persons", "organizations", "users")
    done = [run(living.url, catalog=catalog).good()]
    masks: list[Any] = [{"persons": ["name"]}, {"persons": ["name"]}, {"persons": {"name": "drop"}}, {}]
    for mask, is_new in zip(masks, (True, False, True, True), strict=True):
        before = done[-1].state
        done.append(run(living.url, catalog=catalog, state=before, mask=mask, mask_key=SECRET).good())
        assert (len(done[-1].records("persons")) == len(living.truth("persons"))) is is_new
        assert len(done[-1].records("organizations")) < len(living.truth("organizations"))
    tables = replay([message for one in done for message in one.messages])
    assert {key: row["name"] for (key,), row in tables["persons"].items()} == {
        row["id"]: row["name"] or None for row in living.truth("persons")
    }


def test_every_person_of_the_sandbox_is_masked(shared: Sandbox) -> None:
    """No e-mail address or phone number of a person appears in any stream, even with odd values."""
    mask = {
        "persons": ["name", "emails", "phones", "im", "notes", "job_title", "postal_address"],
        "users": ["name", "email", "phone"],
        "activities": {"attendees": "hash", "note": "drop", "public_description": "drop"},
        "notes": {"content": "drop"},
    }
    done = run(shared.url, mask=mask, mask_key=SECRET, source_checks="each", history="all").good()
    written = texts(done)
    emails = {each["value"] for row in shared.truth("persons") for each in row["emails"] if each["value"]}
    phones = {each["value"] for row in shared.truth("persons") for each in row["phones"] if each["value"]}
    assert len(emails) > 20
    assert [
        each for each in emails | {row["email"] for row in shared.truth("users")} if each in written
    ] == []
    assert [each for each in phones if re.search(rf'"{re.escape(each)}"', written)] == []
    assert [row["name"] for row in shared.truth("users") if f'"{row["name"]}"' in written] == []
