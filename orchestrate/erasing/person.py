"""The person to erase, with everything by which they can be found: ids, addresses, numbers and names."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier

from orchestrate.errors import RunError

FEWEST_DIGITS = 8
"""The shortest number that identifies a person; shorter ones are extensions or years."""

FEWEST_LETTERS = 3
"""The shortest part of a name that counts; shorter ones are particles such as `de`."""

Row = dict[str, Any]


@dataclass
class Forgotten:
    """One or several records of the same person."""

    ids: list[int] = field(default_factory=list)
    """Persons in Pipedrive."""
    contacts: list[str] = field(default_factory=list)
    """Contacts in HubSpot."""
    emails: set[str] = field(default_factory=set)
    """E-mail addresses in lower case."""
    numbers: set[str] = field(default_factory=set)
    """Telephone numbers and tax ids without separators."""
    names: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    """The part of these that other people have as well; it stays in their records."""

    @property
    def any_pattern(self) -> str | None:
        """Return a regular expression of Postgres for all of it."""
        parts = [email_pattern(each) for each in sorted(self.emails)]
        parts += [number_pattern(each) for each in sorted(self.numbers)]
        parts += [name_pattern(each) for each in sorted(self.names)]
        return "|".join(parts) or None

    @property
    def own_pattern(self) -> str | None:
        """Return a regular expression of Postgres for what belongs to this person only, wherever it occurs."""
        parts = [email_pattern(each) for each in sorted(self.emails - self.shared)]
        parts += [number_pattern(each) for each in sorted(self.numbers - self.shared)]
        parts += [name_pattern(each) for each in sorted(self.names - self.shared) if len(each.split()) > 1]
        return "|".join(parts) or None

    @property
    def named_pattern(self) -> str | None:
        """Return the same with whole names that other people have as well."""
        names = [name_pattern(each) for each in sorted(self.names & self.shared) if len(each.split()) > 1]
        return "|".join([*filter(None, [self.own_pattern]), *names]) or None

    @property
    def near_pattern(self) -> str | None:
        """Return a pattern of all of it and of each part of the names, for rows that are about this person."""
        words = {word for name in self.names for word in [name, *name.split()] if len(word) >= FEWEST_LETTERS}
        parts = [
            self.own_pattern or "",
            *(name_pattern(each) for each in sorted(words, key=len, reverse=True)),
        ]
        parts += [email_pattern(each) for each in sorted(self.emails & self.shared)]
        return "|".join(filter(None, parts)) or None


def email_pattern(email: str) -> str:
    """Return a pattern of an address that is not part of a longer one."""
    return rf"(?<![\w.+-]){_escaped(email)}(?![\w-])"


def number_pattern(digits: str) -> str:
    """Return a pattern of a number in any format, with or without a prefix before its last digits."""
    between = r"[\s()./+-]{0,3}"
    tail = digits[-FEWEST_DIGITS:] if digits.isdigit() and len(digits) > FEWEST_DIGITS else digits
    before = rf"(?:[0-9]{between}){{0,7}}" if tail != digits else ""
    return rf"(?<![0-9A-Za-z])[(+]?{before}{between.join(map(_escaped, tail))}(?![0-9A-Za-z])"


def name_pattern(name: str) -> str:
    """Return a pattern of a name as whole words, with any accents, spaces and quotation marks."""
    return rf"(?<!\w){''.join(map(_any_accent, name))}(?!\w)"


def _any_accent(letter: str) -> str:
    if letter.isspace():
        return r"\s+"
    if letter in '"\\':  # doubled or escaped in the text of a row or in JSON
        return r"[\"\\]+"
    accented = [each for each in _ACCENTED if plain(each) == plain(letter)] if letter.isalpha() else []
    return f"[{letter}{''.join(accented)}]" if accented else _escaped(letter)


_ACCENTED = [chr(code) for code in range(0xC0, 0x180) if chr(code).isalpha()] + [
    chr(code) for code in range(ord("a"), ord("z") + 1)
]


def _escaped(text: str) -> str:
    return "".join(each if each.isalnum() or each in "@_" else rf"\{each}" for each in text)


def plain(text: str) -> str:
    """Return a text without accents, case and superfluous spaces."""
    letters = unicodedata.normalize("NFKD", text.lower())
    return " ".join("".join(each for each in letters if not unicodedata.combining(each)).split())


def number_of(text: str) -> str | None:
    """Return the digits and letters of a number, unless they are too few to identify a person."""
    found = re.sub(r"[^0-9A-Za-z]", "", text)
    return found if len(re.sub(r"\D", "", found)) >= FEWEST_DIGITS else None


def find(
    connection: psycopg.Connection, schema: str, hubspot: str, wanted: str, tax_ids: Iterable[str]
) -> Forgotten:
    """Find a person by id or e-mail address, with the duplicates of that person.

    Args:
        connection: A connection that may read the raw tables and the models.
        schema: The schema of Pipedrive's raw tables.
        hubspot: The schema of HubSpot's raw tables, if there is one.
        wanted: Pipedrive's id, or an e-mail address.
        tax_ids: Columns of persons with numbers that identify people.

    Raises:
        RunError: `wanted` is neither an id nor an address.
    """
    wanted = wanted.strip()
    found = Forgotten()
    if "@" in wanted:
        found.emails.add(wanted.lower())
    elif not re.fullmatch("[0-9]{1,18}", wanted):
        raise RunError("A person is named by Pipedrive's id, such as 1234, or by an e-mail address.")
    persons = Table(connection, schema, "persons", (*PERSON_COLUMNS, *tax_ids))
    contacts = Table(connection, hubspot, "contacts", ("id", "properties"))
    chosen = {row["id"]: row for row in persons.having("id", [int(wanted)] if wanted.isdigit() else [])}
    chosen |= {row["id"]: row for row in persons.like(found) if found.emails & set(emails_of(row))}
    chosen |= {row["id"]: row for row in persons.having("id", _duplicates(connection, chosen))}
    for row in chosen.values():
        _learn(found, row, tax_ids)
    for row in _gone(persons.like(found), chosen):
        chosen[row["id"]] = row
        _learn(found, row, tax_ids)
    found.ids = sorted(chosen.keys() | ({int(wanted)} if wanted.isdigit() else set()))
    of_hubspot = [row for row in contacts.like(found) if found.emails & set(emails_of(row))]
    found.contacts = sorted(row["id"] for row in of_hubspot)
    for row in of_hubspot:
        _learn(found, row, ())
    theirs = Forgotten()
    users, owners = Table(connection, schema, "users"), Table(connection, hubspot, "owners")
    for table, own in ((persons, found.ids), (contacts, found.contacts), (users, []), (owners, [])):
        for row in table.like(found):
            if row["id"] not in own:
                _learn(theirs, row, tax_ids)
    names, numbers = set(map(plain, theirs.names)), {each[-FEWEST_DIGITS:] for each in theirs.numbers}
    found.shared = (
        found.emails & theirs.emails
        | {each for each in found.names if plain(each) in names}
        | {each for each in found.numbers if each[-FEWEST_DIGITS:] in numbers}
    )
    return found


PERSON_COLUMNS = (
    *("id", "name", "first_name", "last_name", "primary_email", "emails", "primary_phone", "phones"),
    *("is_deleted", "_sdc_deleted_at"),
)


def _gone(candidates: Iterable[Row], chosen: Mapping[int, Row]) -> list[Row]:
    """Return records that Pipedrive has deleted, as after a merge, and whose address no other person has."""
    others = [row for row in candidates if row["id"] not in chosen]
    alive = {each for row in others if not _is_deleted(row) for each in emails_of(row)}
    emails = {each for row in chosen.values() for each in emails_of(row)} - alive
    return [row for row in others if _is_deleted(row) and emails.intersection(emails_of(row))]


def _is_deleted(row: Row) -> bool:
    return bool(row.get("is_deleted") or row.get("_sdc_deleted_at"))


def _learn(found: Forgotten, row: Mapping[str, Any], tax_ids: Iterable[str]) -> None:
    """Add the data of a record to its person."""
    found.emails.update(emails_of(row))
    phones = [each.get("value") for each in _list(row.get("phones"))]
    written = [row.get("primary_phone"), row.get("phone"), *phones, *(row.get(name) for name in tax_ids)]
    found.numbers.update(number for each in written if (number := number_of(str(each or ""))))
    parts = [next((row[key] for key in keys if row.get(key)), "") for keys in NAMES]
    for name in (row.get("name") or "", " ".join(map(str, parts))):
        if name.strip():
            found.names.add(" ".join(name.split()))


NAMES = (("first_name", "firstname", "firstName"), ("last_name", "lastname", "lastName"))
"""The keys of the parts of a name in Pipedrive and HubSpot."""


def emails_of(row: Mapping[str, Any]) -> list[str]:
    """Return the addresses of a record in lower case."""
    written = [
        row.get("primary_email"),
        row.get("email"),
        *(each.get("value") for each in _list(row.get("emails"))),
    ]
    return [str(each).strip().lower() for each in written if each and "@" in str(each)]


def _list(value: Any) -> list[Row]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _duplicates(connection: psycopg.Connection, chosen: Iterable[int]) -> list[int]:
    """Return the persons that are the same according to the models."""
    if not has_table(connection, "intermediate", "int_persons_deduplicated"):
        return []
    found = connection.execute(
        "select distinct others.person_id from intermediate.int_persons_deduplicated as others "
        "inner join intermediate.int_persons_deduplicated as chosen using (canonical_person_id) "
        "where chosen.person_id = any(%s)",
        [list(chosen)],
    )
    return [number for (number,) in found]


class Table:
    """A raw table, which may be missing."""

    def __init__(
        self, connection: psycopg.Connection, schema: str, name: str, columns: Iterable[str] | None = None
    ) -> None:
        self._connection = connection
        self._table = Identifier(schema, name)
        self._columns = [
            each for each in columns_of(connection, schema, name) if columns is None or each in set(columns)
        ]

    def having(self, column: str, values: Sequence[Any]) -> list[Row]:
        """Return the rows with one of these values."""
        return self._select(SQL("{} = any(%s)").format(Identifier(column)), list(values)) if values else []

    def like(self, person: Forgotten) -> list[Row]:
        """Return the rows that contain, or may contain, something of a person."""
        pattern = person.any_pattern
        return (
            self._select(SQL("concat_ws(' ', {}) ~* %s").format(self._listed()), pattern) if pattern else []
        )

    def _select(self, condition: SQL | Composed, value: Any) -> list[Row]:
        if not self._columns:
            return []
        query = SQL("select {} from {} where {}").format(self._listed(), self._table, condition)
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query, [value]).fetchall()
        # HubSpot's rows have their values one level deeper
        return [row | (row.get("properties") or {}) for row in rows]

    def _listed(self) -> Composed:
        return SQL(", ").join(map(Identifier, self._columns))


def columns_of(connection: psycopg.Connection, schema: str, table: str) -> dict[str, str]:
    """Return the types of a table's columns."""
    found = connection.execute(
        "select attname, format_type(atttypid, null) from pg_attribute "
        "where attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) "
        "and attnum > 0 and not attisdropped order by attnum",
        [schema, table],
    )
    return dict(found.fetchall())


def has_table(connection: psycopg.Connection, schema: str, table: str) -> bool:
    """Return whether a table or view of that name exists."""
    found = connection.execute("select to_regclass(format('%%I.%%I', %s::text, %s::text))", [schema, table])
    (name,) = found.fetchone() or (None,)
    return name is not None
