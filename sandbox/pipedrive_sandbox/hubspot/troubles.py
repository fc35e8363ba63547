"""Defects of real accounts; each trouble spoils some rows of a clean account.

A trouble is a function: its name selects it, its docstring goes into the manifest, and it returns the rows
that it spoilt, by object, or as groups of rows that represent the same thing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import cycle
from random import Random

from pipedrive_sandbox.data.contacts.people import slug
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.times import DAY
from pipedrive_sandbox.hubspot.draft import MAIL, Draft, Row

Spoilt = dict[str, list[Row] | list[list[Row]]]
Trouble = Callable[[Draft, Random], Spoilt]

SPELLINGS = {
    "Neurologia": ("Neuro", "neurologia", "NEUROLOGIA"),
    "Cardiologia": ("Cardio", "cardiologia"),
    "Clínico Geral": ("Clinico Geral", "Clínica geral"),
    "Psiquiatria": ("Psiq.", "Psiquiatria "),
    "Ortopedia": ("Orto", "ortopedia"),
}
DOLLAR = Decimal("5.4321")


def _without_accents(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _spellings() -> Iterator[Callable[[str], str]]:
    return cycle((str.upper, _without_accents, lambda name: name.replace(" ", "  ", 1), str.lower))


def _again(draft: Draft, kind: str, row: Row) -> Row:
    """Return a copy of a row, entered some days later."""
    copy = Row(min(row.created + 3 * DAY, draft.season.now - 90), dict(row.values), company=row.company)
    draft.rows[kind].append(copy)
    return copy


def _deals_by(draft: Draft, what: str) -> dict[int, list[Row]]:
    """Return deals by the identity of their company or contact."""
    found: dict[int, list[Row]] = {}
    for deal in draft.rows["deals"]:
        found.setdefault(id(getattr(deal, what)), []).append(deal)
    return found


def duplicate_companies(draft: Draft, rng: Random) -> Spoilt:
    """The same doctor twice: other spelling, same domain; each has some of the consultations."""
    spellings, deals = _spellings(), _deals_by(draft, "company")
    groups: list[list[Row]] = []
    for row in draft.spoil(rng, "companies", "domain", 0.05):
        copy = _again(draft, "companies", row)
        draft.spoilt["companies", "domain"].add(id(copy))
        copy.values["name"] = next(spellings)(row.values["name"])
        if copy.values["name"] == row.values["name"]:
            copy.values["name"] = copy.values["name"].upper()
        for deal in deals.get(id(row), [])[1::2]:
            deal.company = copy
        groups.append([row, copy])
    return {"companies": groups}


def duplicate_contacts(draft: Draft, rng: Random) -> Spoilt:
    """The same patient twice: other spelling, same phone number, another e-mail address."""
    spellings, deals = _spellings(), _deals_by(draft, "contact")
    groups: list[list[Row]] = []
    for row in draft.spoil(rng, "contacts", "name", 0.03):
        copy = _again(draft, "contacts", row)
        draft.spoilt["contacts", "name"].add(id(copy))
        spell = next(spellings)
        copy.values |= {name: spell(row.values[name]) for name in ("firstname", "lastname")}
        copy.values["email"] = f"{slug(row.values['firstname'])}.outro{len(groups)}@{pick(rng, MAIL)}"
        draft.spoilt["contacts", "email"] |= {id(row), id(copy)}
        for deal in deals.get(id(row), [])[1::2]:
            deal.contact = copy
        groups.append([row, copy])
    return {"contacts": groups}


def missing_last_names(draft: Draft, rng: Random) -> Spoilt:
    """Patients of whom only the first name is known."""
    rows = draft.spoil(rng, "contacts", "name", 0.05)
    for row in rows:
        del row.values["lastname"]
    return {"contacts": rows}


def inconsistent_specialties(draft: Draft, rng: Random) -> Spoilt:
    """The same specialty written in several ways: 'Neuro' beside 'Neurologia'."""
    rows = draft.spoil(rng, "companies", "especialidade_medica", 0.25)
    for row in rows:
        row.values["especialidade_medica"] = pick(rng, SPELLINGS[row.values["especialidade_medica"]])
    return {"companies": rows}


def shared_domains(draft: Draft, rng: Random) -> Spoilt:
    """Different doctors with one domain: a practice that they share."""
    rows = draft.spoil(rng, "companies", "domain", 0.10)
    if len(rows) % 2:
        rows += draft.spoil(rng, "companies", "domain", 0)
    groups = [list(pair) for pair in zip(rows[::2], rows[1::2], strict=False)]
    for first, second in groups:
        second.values["domain"] = first.values["domain"]
    return {"companies": groups}


def non_ascii(draft: Draft, rng: Random) -> Spoilt:
    """Domains and e-mail addresses with letters that are no ASCII."""
    companies = draft.spoil(rng, "companies", "domain", 0.05)
    for row in companies:
        row.values["domain"] = f"clínica{row.values['domain']}"
    contacts = draft.spoil(rng, "contacts", "email", 0.03)
    for row in contacts:
        row.values["email"] = f"josé.{row.values['email']}"
    return {"companies": companies, "contacts": contacts}


def deals_without_company(draft: Draft, rng: Random) -> Spoilt:
    """Consultations of which nobody wrote down the doctor."""
    rows = draft.spoil(rng, "deals", "company", 0.05)
    for row in rows:
        row.company = None
    return {"deals": rows}


def deals_without_association(draft: Draft, rng: Random) -> Spoilt:
    """Consultations that only name the doctor's domain and the patient's e-mail address, as after an import."""
    rows = draft.spoil(rng, "deals", "company", 0.10)
    for row in rows:
        row.is_associated = False
    return {"deals": rows}


def other_won_stage(draft: Draft, rng: Random) -> Spoilt:
    """Consultations in a second pipeline, whose won stage is not called closedwon."""
    stages = {"closedwon": "1047102", "closedlost": "1047103"}
    rows = draft.spoil(rng, "deals", "pipeline", 0.10)
    rows += draft.spoil(rng, "deals", "pipeline", 0, lambda row: row.values["dealstage"] == "closedwon")
    for row in rows:
        row.values |= {"pipeline": "75312468", "dealstage": stages.get(row.values["dealstage"], "1047101")}
    return {"deals": rows}


def deals_in_dollars(draft: Draft, rng: Random) -> Spoilt:
    """Consultations paid in another currency than the account's, which HubSpot has converted."""
    rows = draft.spoil(rng, "deals", "amount", 0.04)
    for row in rows:
        converted = round(Decimal(row.values["amount"]) * DOLLAR, 2)
        row.values |= {"deal_currency_code": "USD", "amount_in_home_currency": str(converted)}
    return {"deals": rows}


def emptied_amounts(draft: Draft, rng: Random) -> Spoilt:
    """Consultations whose amount somebody emptied."""
    rows = draft.spoil(rng, "deals", "amount", 0.03)
    for row in rows:
        row.values |= {"amount": "", "amount_in_home_currency": ""}
    return {"deals": rows}


TROUBLES: dict[str, Trouble] = {
    trouble.__name__: trouble
    for trouble in (
        duplicate_companies,
        duplicate_contacts,
        missing_last_names,
        inconsistent_specialties,
        shared_domains,
        non_ascii,
        deals_without_company,
        deals_without_association,
        other_won_stage,
        deals_in_dollars,
        emptied_amounts,
    )
}
ALL_TROUBLES = tuple(TROUBLES)
