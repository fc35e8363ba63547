"""The generator's data defects occur exactly where the manifest says, and nowhere if switched off."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pipedrive_sandbox.data.contacts.people import slug
from pipedrive_sandbox.data.generate import ALL_TROUBLES, Dataset, generate

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DEALS = 400

Found = dict[str, set[Any]]
"""Row ids by list, or field codes by entity."""


@pytest.fixture(scope="module")
def spoilt() -> Dataset:
    return generate(DEALS, 7, NOW)


@pytest.fixture(scope="module")
def clean() -> Dataset:
    return generate(DEALS, 7, NOW, ())


def by_id(dataset: Dataset, name: str) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in dataset.records[name]}


NAMED = {
    "organizations": "name",
    "persons": "name",
    "deals": "title",
    "products": "name",
    "activities": "subject",
    "leads": "title",
    "notes": "content",
}


def customs(data: Dataset, entity: str) -> list[dict[str, Any]]:
    return [field for field in data.fields[entity] if field["is_custom_field"]]


def rows_where(data: Dataset, name: str, test: Callable[[dict[str, Any]], Any]) -> Found:
    return {name: {row["id"] for row in data.records[name] if test(row)}}


def fields_where(data: Dataset, test: Callable[[str, dict[str, Any]], Any]) -> Found:
    return {
        entity: {field["field_code"] for field in customs(data, entity) if test(entity, field)}
        for entity in data.fields
    }


def sharing(marks: dict[Any, set[str]], ignore: int = 1) -> set[Any]:
    """Return the ids that share at least one mark with another id."""
    owners = defaultdict(set)
    for owner, own in marks.items():
        for mark in own:
            owners[mark].add(owner)
    return {owner for some in owners.values() if len(some) > ignore for owner in some}


def find_duplicate_organizations(data: Dataset) -> Found:
    marks = {
        org["id"]: {slug(org["name"]), re.sub(r"^https?://(www\.)?", "", org["website"] or slug(org["name"]))}
        for org in data.records["organizations"]
    }
    return {"organizations": sharing(marks)}


def find_duplicate_persons(data: Dataset) -> Found:
    marks = {
        person["id"]: {email["value"].lower() for email in person["emails"]}
        | {re.sub(r"\D", "", phone["value"]) for phone in person["phones"]}
        for person in data.records["persons"]
    }
    return {"persons": sharing(marks)}


def find_inconsistent_categories(data: Dataset) -> Found:
    key = next(f["field_code"] for f in customs(data, "organization") if f["field_name"] == "Especialidade")
    proper = {None, "Neurologia", "Cardiologia", "Clínico Geral", "Psiquiatria", "Ortopedia"}
    return rows_where(data, "organizations", lambda row: row["custom_fields"][key] not in proper)


def find_non_ascii(data: Dataset) -> Found:
    odd = re.compile(r"[^ -~\u00a1-\u00ff]|[\"'\\|]")
    return {
        name: {row["id"] for row in data.records[name] if odd.search(row[key])} for name, key in NAMED.items()
    }


def find_equal_field_names(data: Dataset) -> Found:
    counts = {entity: Counter(f["field_name"] for f in customs(data, entity)) for entity in data.fields}
    return fields_where(data, lambda entity, field: counts[entity][field["field_name"]] > 1)


def find_builtin_field_names(data: Dataset) -> Found:
    taken = {
        entity: {
            slug(f[key]) for f in fields if not f["is_custom_field"] for key in ("field_code", "field_name")
        }
        for entity, fields in data.fields.items()
    }
    return fields_where(
        data, lambda entity, f: slug(f["field_name"]) and slug(f["field_name"]) in taken[entity]
    )


def find_long_field_names(data: Dataset) -> Found:
    return fields_where(
        data,
        lambda _, field: (
            len(field["field_name"].encode()) > 63 or not re.search("[A-Za-z0-9]", field["field_name"])
        ),
    )


def find_deleted_options(data: Dataset) -> Found:
    found: Found = {}
    for entity, name in (("deal", "deals"), ("deal", "leads"), ("person", "persons"), ("product", "products"),
                         ("organization", "organizations")):  # fmt: skip
        options = {
            field["field_code"]: {option["id"] for option in field["options"]}
            for field in customs(data, entity)
            if field["options"]
        }

        def gone(row: dict[str, Any], options: dict[str, set[int]] = options) -> bool:
            values = ((known, row["custom_fields"][key]) for key, known in options.items())
            return any(
                not {value if isinstance(value, int) else None, *(value if isinstance(value, list) else ())}
                - {None}
                <= known
                for known, value in values
            )

        found |= rows_where(data, name, gone)
    return found


def find_null_update_time(data: Dataset) -> Found:
    found: Found = {}
    for name, rows in data.records.items():
        if "update_time" in rows[0]:
            found |= rows_where(data, name, lambda row: row["update_time"] is None)
    return found


def find_same_second(data: Dataset) -> Found:
    return {
        name: sharing({row["id"]: {row["update_time"] or row["id"]} for row in data.records[name]}, ignore=20)
        for name in ("organizations", "deals")
    }


def numbers(value: Any) -> list[Any]:
    if isinstance(value, dict | list):
        return [n for part in (value.values() if isinstance(value, dict) else value) for n in numbers(part)]
    return [value] if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else []


def find_many_digits(data: Dataset) -> Found:
    def too_long(row: dict[str, Any]) -> bool:
        return any(len(Decimal(str(n)).as_tuple().digits) > 16 for n in numbers(row))

    found: Found = {}
    for name in ("deals", "leads", "products", "deal_products", "organizations", "persons"):
        found |= rows_where(data, name, too_long)
    return found


def find_odd_dates(data: Dataset) -> Found:
    found: Found = {}
    for entity, name in (("deal", "deals"), ("person", "persons"), ("organization", "organizations")):
        keys = [f["field_code"] for f in customs(data, entity) if f["field_type"] == "date"]
        found[name] = {
            row["id"]
            for row in data.records[name]
            if {"", "0000-00-00"} & {row.get("birthday"), *(row["custom_fields"][key] for key in keys)}
        }
    return found


def reasons(data: Dataset) -> list[Any]:
    """Return the reasons of lost deals, which may be texts or objects."""
    (options,) = (field["options"] for field in data.fields["deal"] if field["field_code"] == "lost_reason")
    return [form for each in options for form in (each["label"], {"id": each["id"], "label": each["label"]})]


DETECTORS: dict[str, Callable[[Dataset], Found]] = {
    "duplicate_organizations": find_duplicate_organizations,
    "duplicate_persons": find_duplicate_persons,
    "missing_last_names": lambda data: rows_where(data, "persons", lambda row: not row["last_name"]),
    "inconsistent_categories": find_inconsistent_categories,
    "deals_without_organization": lambda data: rows_where(data, "deals", lambda row: row["org_id"] is None),
    "non_ascii": find_non_ascii,
    "equal_field_names": find_equal_field_names,
    "builtin_field_names": find_builtin_field_names,
    "long_field_names": find_long_field_names,
    "deleted_options": find_deleted_options,
    "twenty_phones": lambda data: rows_where(data, "persons", lambda row: len(row["phones"]) > 2),
    "null_update_time": find_null_update_time,
    "same_second": find_same_second,
    "object_lost_reason": lambda data: rows_where(
        data, "deals", lambda row: not isinstance(row["lost_reason"], str | None)
    ),
    "null_product_id": lambda data: rows_where(
        data, "deal_products", lambda row: row["product_id"] is None or row["name"] is None
    ),
    "many_digits": find_many_digits,
    "odd_dates": find_odd_dates,
    "typed_lost_reasons": lambda data: rows_where(
        data, "deals", lambda row: row["status"] == "lost" and row["lost_reason"] not in reasons(data)
    ),
}


def found(data: Dataset, trouble: str) -> Found:
    return {place: some for place, some in DETECTORS[trouble](data).items() if some}


@pytest.mark.parametrize("trouble", ALL_TROUBLES)
def test_each_defect_is_exactly_where_the_manifest_says(spoilt: Dataset, trouble: str) -> None:
    entry = spoilt.manifest["troubles"][trouble]
    stated = entry["ids"] if "ids" in entry else entry["fields"]
    assert found(spoilt, trouble) == {place: set(some) for place, some in stated.items()}
    assert entry["what"].endswith(".")


@pytest.mark.parametrize("trouble", ALL_TROUBLES)
def test_a_defect_that_is_switched_off_does_not_occur(trouble: str) -> None:
    data = generate(60, 3, NOW, [name for name in ALL_TROUBLES if name != trouble])
    assert found(data, trouble) == {}
    assert trouble not in data.manifest["troubles"]


def test_a_clean_account_has_no_defect(clean: Dataset) -> None:
    assert {trouble: found(clean, trouble) for trouble in ALL_TROUBLES} == {
        trouble: {} for trouble in ALL_TROUBLES
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_defect_occurs_in_a_small_account(seed: int) -> None:
    data = generate(50, seed, NOW)
    for trouble, entry in data.manifest["troubles"].items():
        places = entry["ids"] if "ids" in entry else entry["fields"]
        assert all(places.values()), trouble


def test_defects_are_as_severe_as_documented(spoilt: Dataset) -> None:
    troubles = spoilt.manifest["troubles"]
    organizations, persons = by_id(spoilt, "organizations"), by_id(spoilt, "persons")
    for first, second in troubles["duplicate_organizations"]["groups"]:
        assert organizations[first]["name"] != organizations[second]["name"]
        assert slug(organizations[second]["name"]).startswith(slug(organizations[first]["name"])[:12])
    phones = [len(persons[number]["phones"]) for number in troubles["twenty_phones"]["ids"]["persons"]]
    assert set(phones) == {20}
    assert "\x00" in by_id(spoilt, "notes")[troubles["non_ascii"]["nul"]]["content"]
    names = [field["field_name"] for field in customs(spoilt, "deal")]
    hundred = [name for name in names if len(name) == 100]
    assert len(hundred) == len(set(hundred)) >= 2
    assert len({name.encode()[:63] for name in hundred}) == 1
    reasons = next(f["options"] for f in spoilt.fields["deal"] if f["field_code"] == "lost_reason")
    labels = {option["id"]: option["label"] for option in reasons}
    for deal in spoilt.records["deals"]:
        if isinstance(deal["lost_reason"], dict):
            assert labels[deal["lost_reason"]["id"]] == deal["lost_reason"]["label"]
    exact = [n for deal in spoilt.records["deals"] for n in numbers(deal) if isinstance(n, Decimal)]
    assert exact
    assert all(Decimal(float(n)) != n for n in exact)


def test_a_defect_changes_only_the_records_that_it_names(spoilt: Dataset) -> None:
    without = generate(DEALS, 7, NOW, [name for name in ALL_TROUBLES if name != "odd_dates"])
    named = spoilt.manifest["troubles"]["odd_dates"]["ids"]
    for name, rows in spoilt.records.items():
        changed = [row["id"] for row, other in zip(rows, without.records[name], strict=True) if row != other]
        assert set(changed) == set(named.get(name, ()))
