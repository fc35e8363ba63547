"""The review's formats of figures, days and names in each language, and its links."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from analyze.definitions import Text
from analyze.review.gather import Language, Step, definitions

PATHS = {"deal": "deal", "person": "person", "organization": "organization"}
"""The part of Pipedrive's web address by kind of record: https://<company>.pipedrive.com/deal/<id>."""


class Texts:
    """The texts of one language, for the records of one company."""

    def __init__(self, language: Language, company_domain: str = "") -> None:
        self.language = language
        self._company_domain = company_domain

    def text(self, text: Text) -> str:
        """Return a text in the language."""
        return str(getattr(text, self.language))

    def word(self, name: str, **values: object) -> str:
        """Return one of the words of `review.yml`, with values in place of the names in braces."""
        return self.text(definitions().words[name]).format(**values)

    def number(self, value: Decimal | float | int, decimals: int = 0) -> str:
        """Return a number with the separators of the language."""
        shown = f"{value:,.{decimals}f}"
        return shown.translate(str.maketrans(",.", ".,")) if self.language == "pt" else shown

    def signed(self, value: Decimal | int, decimals: int = 0) -> str:
        """Return a change with its sign."""
        return ("+" if value > 0 else "") + self.number(value, decimals)

    def money(self, value: Decimal | None, currency: str | None) -> str:
        """Return an amount with its currency, or nothing if there is none."""
        return "" if value is None else f"{self.number(value, 2)} {self.currency(currency)}"

    def currency(self, currency: str | None) -> str:
        """Return a currency's code, or a text that there is none."""
        return currency or self.word("no_currency")

    def day(self, day: date | None) -> str:
        """Return a day, or nothing if there is none."""
        return "" if day is None else f"{day:%d/%m/%Y}" if self.language == "pt" else f"{day:%Y-%m-%d}"

    def owner(self, owner: str | None) -> str:
        """Return an owner's name, or a text that there is none."""
        return " ".join((owner or "").split()) or self.word("no_owner")

    def deals(self, step: Step) -> str:
        """Return the deals of a step, with a sign if deals were added or removed."""
        return self.number(step.deals) if step.is_total or step.is_revaluation else self.signed(step.deals)

    def amount(self, step: Step) -> str:
        """Return the value of a step, with a sign if it is a change."""
        return self.number(step.value, 2) if step.is_total else self.signed(step.value, 2)

    def name(self, record: Mapping[str, Any], longest: int | None = None) -> str:
        """Return the name of a record with its id, because names may be missing or equal.

        Args:
            record: The record, with `name` and `id`.
            longest: The number of characters of the name to show; None means all of them.
        """
        name = " ".join(str(record["name"] or "").split())
        if longest is not None and len(name) > longest:
            name = name[: longest - 1] + "…"
        return f"{name or self.word('unnamed')} (#{record['id']})"

    def link(self, kind: str, record_id: object) -> str:
        """Return the address of a record in Pipedrive, or nothing if the company's domain is unknown."""
        if not self._company_domain:
            return ""
        return f"https://{self._company_domain}.pipedrive.com/{PATHS[kind]}/{record_id}"

    def cell(self, kind: str, record: Mapping[str, Any], column: str) -> str:
        """Return a value in the format of a column."""
        value = record[column]
        if value is None:
            return ""
        if kind == "money":
            return self.money(value, record["currency"])
        if kind == "integer":
            return self.number(value)
        if kind == "date":
            return self.day(value)
        if kind == "words":
            return ", ".join(map(self.word, value))
        return f"#{value}" if kind == "record" else str(value)
