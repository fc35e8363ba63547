"""Erasure in the raw tables of HubSpot: a contact becomes an anonymous one with another id."""

from psycopg.sql import SQL, Identifier, Literal

from orchestrate.erasing.person import Forgotten
from orchestrate.erasing.tables import ERASED, Tables

KEPT = ("lifecyclestage", "hs_analytics_source", "createdate")
"""Properties of contacts that are not personal data."""

IDS = "erased_contacts"


def forget(tables: Tables, person: Forgotten, address: str) -> None:
    """Remove a person from the raw tables.

    Args:
        tables: The tables of the schema.
        person: The person to erase.
        address: An invented e-mail address by which deals still find their contact.
    """
    if "contacts" not in tables.columns:
        return
    tables.connection.execute(
        SQL(
            "create temporary table {} on commit drop as select contact_id as old_id, (least(0, ("
            "select min(id::bigint) from {} where id ~ '^-[0-9]+$')) - place)::text as new_id "
            "from unnest({}::text[]) with ordinality as contacts (contact_id, place)"
        ).format(Identifier(IDS), tables.name("contacts"), Literal(person.contacts))
    )
    if "deals" in tables.columns:
        _forget_in_deals(tables, person, address)
    kept = SQL(", ").join(SQL("{0}, properties -> {0}").format(Literal(name)) for name in KEPT)
    properties = SQL(
        "properties = jsonb_strip_nulls(jsonb_build_object({})) || jsonb_build_object("
        "'email', {}::text, 'firstname', {}::text)"
    ).format(kept, Literal(address), Literal(ERASED))
    tables.update_by("contacts", [SQL("id = new_id"), properties], IDS, SQL("t.id"))


def _forget_in_deals(tables: Tables, person: Forgotten, address: str) -> None:
    """Replace names, addresses and the contact's id in the contact's deals."""
    emails = Literal(sorted(person.emails - person.shared))
    of_contact = SQL("lower(t.properties ->> 'contact_email') = any({}::text[])").format(emails)
    by_id = SQL(
        "exists (select from jsonb_path_query(t.associations, '$.contacts[*].id') as found (item) "
        "inner join {} on item #>> '{{}}' = old_id)"
    ).format(Identifier(IDS))
    has_associations = "associations" in tables.columns["deals"]
    named = SQL("t.properties ->> 'contact_email' = {}").format(Literal(address))
    tables.update(
        "deals",
        [
            SQL("properties = jsonb_set(t.properties, array['contact_email'], to_jsonb({}::text))").format(
                Literal(address)
            )
        ],
        of_contact,
    )
    condition = SQL("({} or {})").format(named, by_id) if has_associations else named
    tables.update("deals", tables.scrubbing("deals", ["properties"], person.near_pattern), condition)
    if has_associations:
        contacts = SQL(
            "associations = jsonb_set(t.associations, array['contacts'], (select jsonb_agg("
            "coalesce(jsonb_set(item, array['id'], to_jsonb(new_id)), item) order by place) "
            "from jsonb_array_elements(t.associations -> 'contacts') with ordinality as items (item, place) "
            "left join {} on item ->> 'id' = old_id))"
        ).format(Identifier(IDS))
        tables.update("deals", [contacts], by_id)
