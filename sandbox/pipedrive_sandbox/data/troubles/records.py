"""Defects of real accounts; each trouble spoils some rows of a clean data set.

A trouble is a function: its name selects it, its docstring goes into the manifest, and it returns exactly
what it spoilt.
"""

import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain, cycle
from random import Random

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.sales.journey import LOST_REASONS
from pipedrive_sandbox.data.setup.reference import DECIMALS
from pipedrive_sandbox.data.times import DAY
from pipedrive_sandbox.data.troubles.fields import (
    builtin_field_names,
    deleted_options,
    equal_field_names,
    long_field_names,
)
from pipedrive_sandbox.data.troubles.spoiling import Spoilt, custom_field, ids_of, spoil

Trouble = Callable[[Draft, Random], Spoilt]

CATEGORY_SPELLINGS = {
    "Neurologia": ("Neuro", "neurologia", "NEUROLOGIA"),
    "Cardiologia": ("Cardio", "Cardiología"),
    "Clínico Geral": ("Clinico Geral", "Clínica geral", "CG"),
    "Psiquiatria": ("Psiq.", "Psiquiatria "),
    "Ortopedia": ("Orto", "Ortopedia e Traumatologia"),
}
_NASTY = (
    "Pão Quente 🥖🔥",
    "株式会社サンプル",
    "شركة الاختبار",
    "מרפאת שלום",
    'Bar "O Cantinho" & Cia',
    "D'Ávila\\Filhos\\",
    "linha\nquebrada",
    "coluna\ttabulada",
    "retorno\r\nde carro",
    "a|b||c",
    "Łódź Žižkov Ωmega",
    "Jose\u0301 decomposto",
    "zero\u200bwidth\u200djoiner",
    "\u202eotrevni\u202c",
    "'; DROP TABLE deals; --",
    "👩🏽‍⚕️ família 👨‍👩‍👧",
    "%s {0} ${HOME} \\N",
)  # fmt: skip
_MANY_DIGITS = (
    "12345678901234567",
    "98765432109876543.21",
    "0.12345678901234567",
    "-1234567.890123456789",
    "31415926535897932384626.43",
    "99999999999999999999",
)


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _pairs(rows: list[Record]) -> list[tuple[Record, Record]]:
    return list(zip(rows[::2], rows[1::2], strict=False))


def duplicate_organizations(draft: Draft, rng: Random) -> Spoilt:
    """The same company twice: other spelling, same website, sometimes the same CNPJ."""
    spellings: Iterator[Callable[[str], str]] = cycle(
        (
            str.upper,
            _without_accents,
            lambda name: f"{name} LTDA.",
            lambda name: f"{name} - Filial",
            lambda name: name.replace(" ", "  "),
        )
    )
    cnpj = custom_field(draft, "organization", "CNPJ")["field_code"]
    people: dict[int | None, list[Record]] = {}
    for person in draft.records["persons"]:
        people.setdefault(person["org_id"], []).append(person)
    renamed: dict[int, tuple[str, str]] = {}
    pairs = _pairs(spoil(draft, rng, "organizations", "name", max(0.04, 4 / draft.deals)))
    for first, second in pairs:
        name = next(spellings)(first["name"])
        if name == first["name"]:
            name = name.upper()
        renamed[second["id"]] = (second["name"], name)
        domain = draft.domains[second["id"]] = draft.domains[first["id"]]
        first["website"] = f"https://www.{domain}"
        second.update(name=name, website=f"http://{domain}")
        if first["custom_fields"][cnpj] and rng.random() < 0.5:
            digits = filter(str.isdigit, first["custom_fields"][cnpj])
            second["custom_fields"][cnpj] = "".join(digits)
        for person in people.get(second["id"], ()):
            work = person["emails"][0]
            work["value"] = draft.people.email(rng, person["first_name"], person["last_name"], domain)
    for entity, key in (("deals", "org_id"), ("leads", "organization_id")):
        for row in draft.records[entity]:
            if row[key] in renamed:
                row["title"] = row["title"].replace(*renamed[row[key]])
    groups = [[first["id"], second["id"]] for first, second in pairs]
    return {"ids": {"organizations": sorted(chain(*groups))}, "groups": groups}


def duplicate_persons(draft: Draft, rng: Random) -> Spoilt:
    """The same person twice: same e-mail address or phone number, the name abbreviated."""
    groups = []
    for first, second in _pairs(spoil(draft, rng, "persons", "name", max(0.03, 4 / draft.deals))):
        initial = f"{first['first_name'][0]}."
        second.update(
            name=f"{initial} {first['last_name']}",
            first_name=initial,
            last_name=first["last_name"],
        )
        if first["phones"] and rng.random() < 0.5:
            number = "".join(filter(str.isdigit, first["phones"][0]["value"]))
            second["phones"] = [{"value": f"+{number}", "primary": True, "label": "work"}]
        else:
            second["emails"] = [dict(first["emails"][0])]
        groups.append([first["id"], second["id"]])
    return {"ids": {"persons": sorted(chain(*groups))}, "groups": groups}


def missing_last_names(draft: Draft, rng: Random) -> Spoilt:
    """Persons of whom only the first name is known."""
    rows = spoil(draft, rng, "persons", "name", 0.04)
    for row in rows:
        row.update(name=row["first_name"], last_name=None)
    return ids_of(persons=rows)


def inconsistent_categories(draft: Draft, rng: Random) -> Spoilt:
    """The same specialty written in several ways: 'Neuro' beside 'Neurologia'."""
    key = custom_field(draft, "organization", "Especialidade")["field_code"]
    rows = spoil(draft, rng, "organizations", key, 0.08, lambda row: row["custom_fields"][key] is not None)
    for row in rows:
        row["custom_fields"][key] = pick(rng, CATEGORY_SPELLINGS[row["custom_fields"][key]])
    return {**ids_of(organizations=rows), "fields": {"organization": [key]}}


def deals_without_organization(draft: Draft, rng: Random) -> Spoilt:
    """Deals of a person only, and so are their activities and notes."""
    rows = spoil(draft, rng, "deals", "org_id", 0.05)
    lonely = {row["id"] for row in rows}
    for row in rows:
        row["org_id"] = None
    for entity in ("activities", "notes"):
        for child in draft.records[entity]:
            if child["deal_id"] in lonely:
                child["org_id"] = None
    return ids_of(deals=rows)


def non_ascii(draft: Draft, rng: Random) -> Spoilt:
    """Emoji, CJK, right-to-left, quotes, backslashes, line breaks, tabs; a NUL in a note."""
    spoilt: dict[str, list[Record]] = {}
    for entity, key in (
        ("organizations", "name"),
        ("persons", "name"),
        ("deals", "title"),
        ("products", "name"),
        ("activities", "subject"),
        ("leads", "title"),
        ("notes", "content"),
    ):
        size = len(draft.records[entity])
        share = max(0.002, min(len(_NASTY), size // 10) / size)
        rows = spoilt[entity] = spoil(draft, rng, entity, key, share)
        for row, nasty in zip(rows, cycle(_NASTY), strict=False):
            row[key] = f"{nasty} {row[key]}"
            if entity == "persons":
                row["first_name"] = f"{nasty} {row['first_name']}"
    nul = spoilt["notes"][0]
    nul["content"] = f"antes\x00depois {nul['content']}"
    return {**ids_of(**spoilt), "nul": nul["id"]}


def twenty_phones(draft: Draft, rng: Random) -> Spoilt:
    """A person with 20 phones and 15 e-mail addresses."""
    rows = spoil(draft, rng, "persons", "name", 0.0003)
    for row in rows:
        first, last = row["first_name"], row["last_name"]
        row["phones"] = [
            {"value": draft.people.phone(rng), "primary": place == 0, "label": "work"} for place in range(20)
        ]
        row["emails"] += [
            {"value": draft.people.email(rng, first, last, None), "primary": False, "label": "other"}
            for _ in range(15 - len(row["emails"]))
        ]
    return ids_of(persons=rows)


def null_update_time(draft: Draft, rng: Random) -> Spoilt:
    """Rows that were never given an update time, a stage among them."""
    spoilt = {}
    for entity in ("deals", "persons", "organizations", "activities", "products", "stages"):
        rows = spoilt[entity] = spoil(
            draft, rng, entity, "update_time", 0.003, lambda row: row.get("status") != "deleted"
        )
        for row in rows:
            row["update_time"] = None
    return ids_of(**spoilt)


def same_second(draft: Draft, rng: Random) -> Spoilt:
    """A bulk edit: up to 600 organizations and 600 deals were all updated in one second."""
    second = draft.now - 20 * DAY
    spoilt = {}
    for entity in ("organizations", "deals"):
        size = len(draft.records[entity])
        spoilt[entity] = spoil(
            draft, rng, entity, "update_time", min(600, 0.3 * size) / size,
            lambda row: row["update_time"] is not None and row["update_time"] <= second,
        )  # fmt: skip
        for row in spoilt[entity]:
            row["update_time"] = second
    return ids_of(**spoilt)


def object_lost_reason(draft: Draft, rng: Random) -> Spoilt:
    """Lost deals whose reason is an object, {id, label}, where others have a text."""
    rows = spoil(draft, rng, "deals", "lost_reason", 0.0065, lambda row: row["lost_reason"])
    for row in rows:
        label = row["lost_reason"]
        row["lost_reason"] = {"id": LOST_REASONS.index(label) + 1, "label": label}
    return ids_of(deals=rows)


def typed_lost_reasons(draft: Draft, rng: Random) -> Spoilt:
    """Lost deals whose reason was typed: in other letters, without accents, with spaces; or not at all."""
    spellings: Iterator[Callable[[str], str | None]] = cycle(
        (
            str.upper,
            lambda text: _without_accents(text).lower(),
            lambda text: f" {text.replace(' ', '  ')} ",
            lambda text: None,
        )
    )
    rows = spoil(draft, rng, "deals", "lost_reason", 0.03, lambda row: row["status"] == "lost")
    for row in rows:
        label, row["lost_reason"] = row["lost_reason"], next(spellings)(row["lost_reason"])
        for line in draft.changes["deals"].get(row["id"], ()):
            if line["field_key"] == "lost_reason" and line["new_value"] == label:
                line["new_value"] = row["lost_reason"]
    return ids_of(deals=rows)


def null_product_id(draft: Draft, rng: Random) -> Spoilt:
    """Line items whose product was purged: id, name and variation are gone."""
    rows = spoil(draft, rng, "deal_products", "product_id", 0.01)
    for row in rows:
        row.update(product_id=None, name=None, product_variation_id=None)
    return ids_of(deal_products=rows)


def many_digits(draft: Draft, rng: Random) -> Spoilt:
    """Numbers that a double cannot hold: deal values, a number field and a money field."""
    double = custom_field(draft, "deal", "Medição do sensor")["field_code"]
    budget = custom_field(draft, "deal", "Annual budget")["field_code"]
    numbers = cycle(map(Decimal, _MANY_DIGITS))
    rows = spoil(
        draft, rng, "deals", "value", 0.003,
        lambda row: not row["products_count"] and isinstance(row["value"], int)
        and DECIMALS[row["currency"]] > 0
        and not any(c["field_key"] == "value" for c in draft.changes["deals"].get(row["id"], ())),
    )  # fmt: skip
    for row in rows:
        row["value"] = Decimal(f"{row['value']}.123456789012345")
        row["custom_fields"][double] = next(numbers)
        row["custom_fields"][budget] = {"value": next(numbers), "currency": row["currency"]}
    return {**ids_of(deals=rows), "fields": {"deal": [double, budget]}}


def odd_dates(draft: Draft, rng: Random) -> Spoilt:
    """'0000-00-00' and '' where a date should be: birthdays and custom date fields."""
    odd = cycle(("0000-00-00", ""))
    renewal = custom_field(draft, "deal", "Data de renovação")["field_code"]
    since = custom_field(draft, "person", "Cliente desde")["field_code"]
    deals = spoil(draft, rng, "deals", renewal, 0.005)
    persons = spoil(draft, rng, "persons", since, 0.005)
    for row in deals:
        row["custom_fields"][renewal] = next(odd)
    for row in persons:
        row["custom_fields"][since] = next(odd)
        row["birthday"] = next(odd)
    return {**ids_of(deals=deals, persons=persons), "fields": {"deal": [renewal], "person": [since]}}


TROUBLES: dict[str, Trouble] = {
    trouble.__name__: trouble
    for trouble in (
        duplicate_organizations,
        duplicate_persons,
        missing_last_names,
        inconsistent_categories,
        deals_without_organization,
        non_ascii,
        equal_field_names,
        builtin_field_names,
        long_field_names,
        deleted_options,
        twenty_phones,
        null_update_time,
        same_second,
        object_lost_reason,
        null_product_id,
        many_digits,
        odd_dates,
        typed_lost_reasons,
    )
}
ALL_TROUBLES = tuple(TROUBLES)
