"""Erasure in the raw tables of Pipedrive: each row stays, so that figures stay, but names nobody.

A person becomes an anonymous record with another id and an invented address. Duplicates get the same address,
so that they still are one customer.
"""

from collections.abc import Iterable

from psycopg.sql import SQL, Composable, Identifier, Literal

from orchestrate.erasing.person import Forgotten, email_pattern
from orchestrate.erasing.tables import ERASED, Tables

KEPT = (
    *("owner_id", "org_id", "add_time", "update_time", "is_deleted", "visible_to"),
    *("next_activity_id", "last_activity_id", "last_incoming_mail_time", "last_outgoing_mail_time"),
)
"""Columns of persons that are not personal data; counters and the loader's own columns stay as well."""

EMPTIED = {
    "notes": ("content",),
    "note_comments": ("content",),
    "activities": (
        *("note", "public_description", "location"),
        *("conference_meeting_url", "conference_meeting_id"),
    ),
    "call_logs": ("note", "from_phone_number", "to_phone_number"),
    "files": (
        *("name", "file_name", "description", "url"),
        *("remote_location", "remote_id", "cid", "s3_bucket"),
    ),
    "mail_threads": ("subject", "snippet", "snippet_draft", "snippet_sent", "parties", "drafts_parties"),
    "mail_messages": (
        *("subject", "snippet", "body_url", "draft"),
        *("from_parties", "to_parties", "cc_parties", "bcc_parties"),
    ),
}
"""Free text in rows about the person, which is emptied because personal data in it cannot be recognized."""

TITLES = ("title", "subject", "description")
"""Columns of such rows in which only the parts of the person's name are replaced."""

BESIDE = ("rejected_values", "source_samples")
"""Tables that keep values of other tables' rows by `stream` and `record_id`."""

IDS = "erased_persons"


def forget(tables: Tables, person: Forgotten, address: str) -> None:
    """Remove a person from the raw tables.

    Args:
        tables: The tables of the schema.
        person: The person to erase.
        address: An invented e-mail address for all records of the person.
    """
    if "persons" not in tables.columns:
        return
    tables.connection.execute(
        SQL(
            "create temporary table {} on commit drop as "
            "select number as old_id, least(0, (select min(id) from {})) - place as new_id "
            "from unnest({}::bigint[]) with ordinality as persons (number, place)"
        ).format(Identifier(IDS), tables.name("persons"), Literal(person.ids))
    )
    # Comments precede notes, and messages precede threads, because the latter tell what the former are about.
    for table in sorted(tables.columns):
        _forget_rows_about(tables, table, person)
    _forget_history(tables, person)
    _point_elsewhere(tables)
    _make_nobody(tables, address)


def _about(tables: Tables, table: str, person: Forgotten) -> Composable | None:
    """Return the condition for rows that are about the person, or None for tables without such rows."""
    columns = tables.columns[table]
    conditions: list[Composable] = []
    if table == "persons":
        conditions.append(_is_one_of("id", person))
    if "person_id" in columns:
        conditions.append(_is_one_of("person_id", person))
    if "person_ids" in columns:
        conditions.append(
            SQL("exists (select from {} where t.person_ids @> to_jsonb(old_id))").format(Identifier(IDS))
        )
    documents = [name for name in columns if name in ("participants", "attendees")]
    if table in ("mail_threads", "mail_messages"):
        documents = tables.texts(table)
    conditions += [
        SQL("t.{}::text ~* {}").format(Identifier(name), Literal(_reference(person))) for name in documents
    ]
    for child, key, parent in (
        ("note_comments", "note_id", "notes"),
        ("mail_messages", "mail_thread_id", "mail_threads"),
    ):
        if table == child and parent in tables.columns and (of_parent := _about(tables, parent, person)):
            conditions.append(
                SQL("t.{} in (select t.id from {} as t where {})").format(
                    Identifier(key), tables.name(parent), of_parent
                )
            )
    return SQL("({})").format(SQL(" or ").join(conditions)) if conditions else None


def _is_one_of(column: str, person: Forgotten) -> Composable:
    return SQL("t.{} = any({}::bigint[])").format(Identifier(column), Literal(person.ids))


def _reference(person: Forgotten) -> str:
    """Return the pattern of a reference to the person within a document."""
    ids = "|".join(map(str, person.ids)) or "none"
    emails = [email_pattern(each) for each in sorted(person.emails - person.shared)]
    return "|".join([rf'"(linked_)?person_id": ?({ids})(?![0-9])', *emails])


def _forget_rows_about(tables: Tables, table: str, person: Forgotten) -> None:
    """Empty free text about the person, replace names, and delete copies of values of such rows."""
    condition = _about(tables, table, person)
    if condition is None or table.endswith("_changes"):
        return
    if "id" in tables.columns[table]:
        _forget_beside(
            tables,
            table,
            SQL("(select t.id::text from {} as t where {})").format(tables.name(table), condition),
        )
    if table == "persons":
        return
    texts = tables.texts(table)
    emptied = [name for name in EMPTIED.get(table, ()) if name in texts]
    changes: list[Composable] = [SQL("{} = null").format(Identifier(name)) for name in emptied]
    if "attendees" in texts:
        others = SQL(
            "attendees = (select coalesce(jsonb_agg(item), '[]') from jsonb_array_elements("
            "case jsonb_typeof(t.attendees) when 'array' then t.attendees else '[]' end) as items (item) "
            "where item::text !~* {})"
        )
        changes.append(others.format(Literal(_reference(person))))
    rest = [name for name in texts if name not in (*emptied, "attendees")]
    titles = [name for name in rest if name in TITLES]
    changes += tables.scrubbing(table, titles, person.near_pattern)
    changes += tables.scrubbing(table, set(rest) - set(titles), person.named_pattern)
    tables.update(table, changes, condition)


def _forget_beside(tables: Tables, stream: str, record_ids: Composable) -> None:
    for kept in set(BESIDE) & tables.columns.keys():
        tables.delete(kept, SQL("stream = {} and record_id in {}").format(Literal(stream), record_ids))


def _forget_history(tables: Tables, person: Forgotten) -> None:
    """Delete the person's own change log, and replace the person in others."""
    ids = Literal(list(map(str, person.ids)))
    if "person_changes" in tables.columns:
        tables.delete("person_changes", _is_one_of("person_id", person))
    if "deal_changes" in tables.columns and "deals" in tables.columns:
        about = _about(tables, "deals", person)
        condition = SQL("field_key = 'title' and t.deal_id in (select t.id from {} as t where {})")
        tables.update(
            "deal_changes",
            tables.scrubbing("deal_changes", ("old_value", "new_value"), person.near_pattern),
            condition.format(tables.name("deals"), about or SQL("false")),
        )
    if "run_statements" in tables.columns:
        tables.update(
            "run_statements",
            [
                SQL(
                    "unread_ids = (select jsonb_agg(item) from jsonb_array_elements(unread_ids) as items (item) "
                    "where item #>> '{{}}' <> all({}))"
                ).format(ids)
            ],
            SQL(
                "t.stream like 'person%' and jsonb_typeof(t.unread_ids) = 'array' and exists ("
                "select from jsonb_array_elements(t.unread_ids) as items (item) where item #>> '{{}}' = any({}))"
            ).format(ids),
        )


def _point_elsewhere(tables: Tables) -> None:
    """Make all references to the person point to an anonymous record."""
    codes, fields = _fields_of_persons(tables)
    for table, columns in tables.columns.items():
        for name in ("person_id", *fields.get(table, ())):
            if columns.get(name) == "bigint":
                tables.update_by(
                    table,
                    [SQL("{} = new_id").format(Identifier(name))],
                    IDS,
                    SQL("t.{}").format(Identifier(name)),
                )
                _point_samples_elsewhere(tables, table, name)
        for name, key in (("participants", "person_id"), ("person_ids", None)):
            if name in columns:
                tables.update_list(table, name, IDS, key)
        for name in {"custom_fields", "custom_fields_overflow"} & columns.keys():
            for code in codes:
                tables.update_by(
                    table,
                    [
                        SQL("{0} = jsonb_set(t.{0}, array[{1}], to_jsonb(new_id))").format(
                            Identifier(name), Literal(code)
                        )
                    ],
                    IDS,
                    SQL("t.{} ->> {}").format(Identifier(name), Literal(code)),
                )
                _point_samples_elsewhere(tables, table, name, code)
        for name in ("old_value", "new_value") if "field_key" in columns else ():
            tables.update_by(
                table,
                [SQL("{} = new_id::text").format(Identifier(name))],
                IDS,
                SQL("t.{}").format(Identifier(name)),
                SQL("t.field_key = any({})").format(Literal(["person_id", *codes])),
            )


def _point_samples_elsewhere(tables: Tables, stream: str, *path: str) -> None:
    """Change a reference in the samples as in the rows that are compared with them."""
    if "source_samples" in tables.columns:
        place = Literal(list(path))
        tables.update_by(
            "source_samples",
            [SQL("content = jsonb_set(t.content, {}, to_jsonb(new_id))").format(place)],
            IDS,
            SQL("t.content #>> {}").format(place),
            SQL("t.stream = {}").format(Literal(stream)),
        )


def _fields_of_persons(tables: Tables) -> tuple[list[str], dict[str, list[str]]]:
    """Return the keys of custom fields that refer to a person, and their columns by table."""
    codes: set[str] = set()
    columns: dict[str, list[str]] = {}
    if "fields" in tables.columns:
        query = SQL("select field_code from {} where field_type = 'people' and is_custom_field")
        codes.update(code for (code,) in tables.connection.execute(query.format(tables.name("fields"))))
    if "field_columns" in tables.columns:
        query = SQL("select stream, column_name, field_code from {} where field_type = 'people'")
        for table, name, code in tables.connection.execute(query.format(tables.name("field_columns"))):
            codes.add(code)
            columns.setdefault(table, []).append(name)
    return sorted(codes), columns


def _make_nobody(tables: Tables, address: str) -> None:
    """Keep only the columns of the person's own row that are not personal data."""
    values: dict[str, Composable] = {
        "id": SQL("new_id"),
        "name": Literal(ERASED),
        "first_name": Literal(ERASED),
        "primary_email": Literal(address),
        "emails": SQL("jsonb_build_array(jsonb_build_object('value', {}::text, 'primary', true))").format(
            Literal(address)
        ),
    }
    emptied = {name: SQL("null") for name in tables.columns["persons"] if not _says_nothing(name)}
    changes = [
        SQL("{} = {}").format(Identifier(name), value)
        for name, value in (emptied | values).items()
        if name in tables.columns["persons"]
    ]
    tables.update_by("persons", changes, IDS, SQL("t.id"))


def _says_nothing(column: str) -> bool:
    return column in KEPT or column.startswith("_sdc_") or column.endswith("_count")


def ids_in_documents(ids: Iterable[int]) -> str:
    """Return the pattern of references to persons' ids in a text or document."""
    listed = "|".join(map(str, ids)) or "none"
    return rf'"(linked_)?person_id": ?({listed})(?![0-9])|pipedrive-person-({listed})(?![0-9])'
