"""The generated HubSpot account, and the data defects in its manifest."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest
from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, PROPERTIES
from pipedrive_sandbox.hubspot.generate import ALL_TROUBLES, generate, live
from pipedrive_sandbox.hubspot.portal import Portal
from pipedrive_sandbox.testing import NOW

KINDS = list(PROPERTIES)


def content(portal: Portal) -> bytes:
    return orjson.dumps({kind: portal.truth(kind) for kind in KINDS})


def test_the_same_arguments_give_the_same_account() -> None:
    (first, manifest), (second, again) = generate(120, 7, NOW), generate(120, 7, NOW)
    assert content(first) == content(second)
    assert manifest == again
    assert content(first) != content(generate(120, 8, NOW)[0])


def test_the_same_changes_give_the_same_account() -> None:
    lives = []
    for seed in (1, 1, 2):
        portal, _ = generate(100, 1, NOW)
        with portal.clock.held(NOW):
            live(portal, seed)
        lives.append(content(portal))
    assert lives[0] == lives[1] != lives[2]


def test_the_account_grows_with_its_deals() -> None:
    portal, _ = generate(100, 1, NOW, ())
    assert {kind: len(portal.records[kind]) for kind in KINDS} == {
        "companies": 10,
        "contacts": 80,
        "deals": 100,
    }
    patients = Counter(row["associations"]["contacts"][0] for row in portal.truth("deals"))
    assert sum(patients.values()) - len(patients) == 20


def test_no_event_is_after_now() -> None:
    portal, _ = generate(400, 3, NOW)
    for kind in KINDS:
        times = [row["properties"][MODIFIED_BY[kind]] for row in portal.truth(kind)]
        assert max(times) < NOW.isoformat().replace("+00:00", "Z")
        assert Counter(times).most_common(1)[0][1] < 5, "many at one moment look like an import"


@pytest.mark.parametrize("deals", [50, 51, 52, 53, 500])
def test_every_defect_occurs(deals: int) -> None:
    _, manifest = generate(deals, deals, NOW)
    assert set(manifest["troubles"]) == set(ALL_TROUBLES)
    for name, told in manifest["troubles"].items():
        assert all(told["ids"].values()), name


def test_an_account_without_defects_is_consistent() -> None:
    portal, manifest = generate(3000, 1, NOW, ())
    assert manifest["troubles"] == {}
    companies, contacts, deals = (
        [row["properties"] for row in portal.truth(kind)] for kind in ("companies", "contacts", "deals")
    )
    for rows, name in ((companies, "domain"), (contacts, "email"), (companies, "name"), (contacts, "phone")):
        values = [row[name].lower() for row in rows]
        assert len(set(values)) == len(values)
    assert all(row["domain"].isascii() for row in companies)
    assert all(row["email"].isascii() for row in contacts)
    people = [f"{row['firstname']} {row['lastname']}" for row in contacts]
    assert len(set(people)) == len(people)
    assert all(row["lastname"] for row in contacts)
    assert {row["pipeline"] for row in deals} == {"default"}
    assert {row["deal_currency_code"] for row in deals} == {"BRL"}
    for row in portal.truth("deals"):
        assert row["properties"]["amount"]
        assert row["properties"]["company_domain"]
        assert row["associations"].keys() == {"companies", "contacts"}


def test_an_unknown_defect_is_refused() -> None:
    with pytest.raises(ValueError, match="no such trouble: gremlins"):
        generate(10, 1, NOW, {"gremlins"})


def test_the_manifest_lists_exactly_the_defects() -> None:
    """The test finds them in the records without the manifest."""
    portal, manifest = generate(230, 1, NOW)
    spoilt = {name: told["ids"] for name, told in manifest["troubles"].items()}
    groups = {name: told.get("groups", []) for name, told in manifest["troubles"].items()}
    companies, contacts, deals = (
        {int(row["id"]): row for row in portal.truth(kind)} for kind in ("companies", "contacts", "deals")
    )

    def which(rows: dict[int, dict[str, Any]], is_spoilt: Any) -> list[int]:
        return [id_ for id_, row in rows.items() if is_spoilt(row["properties"])]

    assert which(contacts, lambda row: not row["lastname"]) == spoilt["missing_last_names"]["contacts"]
    assert which(deals, lambda row: row["deal_currency_code"] != "BRL") == spoilt["deals_in_dollars"]["deals"]
    assert which(deals, lambda row: row["pipeline"] != "default") == spoilt["other_won_stage"]["deals"]
    not_ascii = which(companies, lambda row: not row["domain"].isascii())
    assert not_ascii == spoilt["non_ascii"]["companies"]
    not_ascii = which(contacts, lambda row: not row["email"].isascii())
    assert not_ascii == spoilt["non_ascii"]["contacts"]
    clean = {"Neurologia", "Cardiologia", "Clínico Geral", "Psiquiatria", "Ortopedia"}
    odd = which(companies, lambda row: row["especialidade_medica"] not in clean)
    assert set(odd) >= set(spoilt["inconsistent_specialties"]["companies"])
    shared = Counter(row["properties"]["domain"] for row in companies.values())
    expected = groups["duplicate_companies"] + groups["shared_domains"]
    assert sorted(shared[companies[group[0]]["properties"]["domain"]] for group in expected) == [2] * len(
        expected
    )
    assert sum(count == 2 for count in shared.values()) == len(expected)
    for first, second in groups["duplicate_contacts"]:
        one, other = contacts[first]["properties"], contacts[second]["properties"]
        assert one["phone"] == other["phone"]
        assert one["email"] != other["email"]
    unassociated = [id_ for id_, row in deals.items() if not row["associations"]]
    assert unassociated == spoilt["deals_without_association"]["deals"]
