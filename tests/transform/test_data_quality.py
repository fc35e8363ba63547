"""Data quality compared with the sandbox's manifest: each defect is found in every record that has it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
from pipedrive_sandbox.data.figures import write_figures
from pipedrive_sandbox.data.generate import ALL_TROUBLES, Dataset, generate
from pipedrive_sandbox.hubspot.figures import FIGURES
from pipedrive_sandbox.hubspot.generate import ALL_TROUBLES as ALL_TROUBLES_OF_HUBSPOT
from pipedrive_sandbox.hubspot.generate import generate as generate_hubspot
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.columns import slug

from ..pipeline.pipe import Pipe
from .conftest import Account, Dbt
from .hubspot_tables import load_hubspot

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)

FOUND_BY = {
    "duplicate_organizations": "duplicate",
    "duplicate_persons": "duplicate",
    "missing_last_names": "missing_last_name",
    "inconsistent_categories": "inconsistent_category",
    "deals_without_organization": "missing_company",
    "non_ascii": "unsafe_text",
    "equal_field_names": "ambiguous_field_name",
    "builtin_field_names": "builtin_field_name",
    "long_field_names": "unfit_field_name",
    "deleted_options": "deleted_option",
    "twenty_phones": "too_many_contact_points",
    "null_update_time": "missing_update_time",
    "null_product_id": "missing_product",
    "many_digits": "excess_decimals",
}
FOUND_IN_HUBSPOT_BY = {
    "duplicate_companies": "duplicate",
    "duplicate_contacts": "duplicate",
    "missing_last_names": "missing_last_name",
    "inconsistent_specialties": "inconsistent_category",
    "shared_domains": "shared_website",
    "non_ascii": "unusable_address",
    "deals_without_company": "missing_company",
    "deals_without_association": "missing_association",
    "emptied_amounts": "missing_value",
}
LEFT_NO_TRACE = {
    "same_second": "many updates in one second are a bulk edit, and no defect of the records",
    "object_lost_reason": "the tap writes the label into the text column",
    "typed_lost_reasons": "reasons may be typed freely; `lost_reasons` counts different spellings as one",
    "odd_dates": "the tap writes null where Pipedrive sends a zero date",
}
LEFT_NO_TRACE_IN_HUBSPOT = {
    "other_won_stage": "an account may have several pipelines; the models know which stages are won",
    "deals_in_dollars": "an account may have several currencies; HubSpot has converted the amounts",
}

Issues = dict[tuple[str, str], set[str]]
"""Ids of failing records by rule and entity."""


def spoilt(dataset: Dataset) -> Issues:
    """Return the defects in the manifest of records that were not deleted."""
    issues: Issues = defaultdict(set)
    for trouble, said in dataset.manifest["troubles"].items():
        if rule := FOUND_BY.get(trouble):
            for entity, ids in said.get("ids", {}).items():
                issues[rule, entity] |= {str(id_) for id_ in ids} - deleted(dataset, entity)
            if rule.endswith("field_name"):
                codes = [(entity, code) for entity, some in said["fields"].items() for code in some]
                if rule == "unfit_field_name":
                    codes = [each for each in codes if is_unfit(dataset, *each)]
                issues[rule, "fields"] |= {f"{entity}.{code}" for entity, code in codes}
    return dict(issues)


def is_unfit(dataset: Dataset, entity: str, code: str) -> bool:
    """Return whether a name is too long for a column, or has no characters left in ASCII."""
    (name,) = (field["field_name"] for field in dataset.fields[entity] if field["field_code"] == code)
    return len(name.encode()) > 63 or not slug(name)


def deleted(dataset: Dataset, entity: str) -> set[str]:
    return {
        str(row["id"])
        for row in dataset.records[entity]
        if row.get("is_deleted") or row.get("status") == "deleted" or row.get("active_flag") is False
    }


@pytest.fixture(scope="module")
def target(installed: Callable[[str, str], Path]) -> Path:
    """The target as Meltano installs it."""
    return installed("loader", "target-postgres") / "target-postgres"


@pytest.fixture
def judged(
    new_database: Callable[..., str], target: Path, dbt: Dbt, tmp_path: Path
) -> Callable[[Dataset], Account]:
    """A function that loads an account with tap and target, builds the models, and returns their findings."""

    def load_and_judge(dataset: Dataset) -> Account:
        write_figures(tmp_path / "seeds", len(dataset.records["deals"]), 1, NOW, NOW)
        account = Account(new_database("judged"), tmp_path, dbt)
        with Sandbox(dataset=dataset, now=NOW) as sandbox:
            Pipe(
                target, tmp_path, account.url, {"api_token": sandbox.token, "api_url": sandbox.url}
            ).run().succeeded()
        judge(account, tmp_path / "seeds")
        return account

    return load_and_judge


def judge(account: Account, seeds: Path) -> None:
    run = account.dbt(
        *("build", "--select", "+data_quality", "--exclude-resource-type", "test", "unit_test"),
        SEEDS=str(seeds),
    )
    assert run.returncode == 0, run.stdout


def found(account: Account) -> Issues:
    issues: Issues = defaultdict(set)
    for rule, entity, record in account.query(
        "select rule, entity, record_id from marts.data_quality_issues"
    ):
        issues[rule, entity].add(record)
    return dict(issues)


@pytest.mark.parametrize(
    ("found_by", "left_no_trace", "troubles"),
    [
        (FOUND_BY, LEFT_NO_TRACE, ALL_TROUBLES),
        (FOUND_IN_HUBSPOT_BY, LEFT_NO_TRACE_IN_HUBSPOT, ALL_TROUBLES_OF_HUBSPOT),
    ],
)
def test_every_defect_has_a_rule_or_a_reason_for_having_none(
    found_by: dict[str, str], left_no_trace: dict[str, str], troubles: tuple[str, ...]
) -> None:
    assert sorted([*found_by, *left_no_trace]) == sorted(troubles)


@pytest.mark.parametrize(("deals", "seed"), [(60, 3), (700, 1)])
def test_exactly_the_defective_records_are_found(
    judged: Callable[[Dataset], Account], deals: int, seed: int
) -> None:
    dataset = generate(deals, seed, NOW)
    assert found(judged(dataset)) == spoilt(dataset)


def test_nothing_is_found_in_a_clean_account(judged: Callable[[Dataset], Account]) -> None:
    assert found(judged(generate(700, 1, NOW, ()))) == {}


@pytest.mark.parametrize("place", range(6))
def test_no_defect_is_taken_for_another(judged: Callable[[Dataset], Account], place: int) -> None:
    """Each defect has three of six accounts, so that of any two defects each occurs once without the other."""
    mixed = [
        name for name, places in zip(ALL_TROUBLES, combinations(range(6), 3), strict=False) if place in places
    ]
    dataset = generate(60, 2, NOW, mixed)
    issues = found(judged(dataset))
    assert issues == spoilt(dataset)
    assert {rule for rule, _ in issues} == {FOUND_BY[trouble] for trouble in mixed if trouble in FOUND_BY}


@pytest.mark.parametrize(("deals", "seed"), [(100, 1), (400, 2)])
@pytest.mark.parametrize("troubles", [ALL_TROUBLES_OF_HUBSPOT, ()], ids=["spoilt", "clean"])
def test_exactly_the_defective_hubspot_records_are_found(
    new_account: Callable[..., Account],
    tmp_path: Path,
    deals: int,
    seed: int,
    troubles: tuple[str, ...],
) -> None:
    portal, manifest = generate_hubspot(deals, seed, NOW, troubles)
    expected: Issues = defaultdict(set)
    for trouble, said in manifest["troubles"].items():
        if rule := FOUND_IN_HUBSPOT_BY.get(trouble):
            for entity, ids in said["ids"].items():
                expected[rule, entity] |= set(map(str, ids))
    account = new_account(f"hubspot_{deals}_{len(troubles)}")
    load_hubspot(account, portal)
    write_figures(tmp_path, deals, seed, NOW, NOW, FIGURES)
    judge(account, tmp_path)
    assert found(account) == expected
