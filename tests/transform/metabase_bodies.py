"""Schemas of the request bodies for Metabase's API, as far as the project uses it.

They follow the API's description in Metabase's repository (`resources/openapi`): required keys, optional
keys, and their types. Newer versions refuse other keys.
"""

from typing import Any

Json = dict[str, Any]

TEXT = {"type": "string", "minLength": 1}
ID = {"type": "integer", "minimum": 1}
MAP = {"type": "object"}


def nullable(schema: Json) -> Json:
    return {"oneOf": [schema, {"type": "null"}]}


def closed(required: Json, **optional: Json) -> Json:
    """A map with these keys and no others, as newer versions of Metabase require."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


TAG = {
    "type": "object",
    "properties": {"id": TEXT, "name": TEXT, "display-name": TEXT, "type": {"enum": ["text", "date"]}},
    "required": ["id", "name", "display-name", "type"],
}
QUERY = closed(
    {
        "type": {"const": "native"},
        "database": ID,
        "native": closed(
            {"query": TEXT}, **{"template-tags": {"type": "object", "additionalProperties": TAG}}
        ),
    }
)
PARAMETER = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "type": {"enum": ["string/=", "date/single"]},
        "slug": TEXT,
        "name": TEXT,
        "sectionId": TEXT,
    },
    "required": ["id", "type", "slug", "name"],
}
MAPPING = {
    "type": "object",
    "properties": {
        "parameter_id": TEXT,
        "card_id": ID,
        "target": {
            "prefixItems": [{"const": "variable"}, {"prefixItems": [{"const": "template-tag"}, TEXT]}]
        },
    },
    "required": ["parameter_id", "target"],
}
DASHCARD = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "card_id": nullable(ID),
        "row": {"type": "integer", "minimum": 0},
        "col": {"type": "integer", "minimum": 0, "maximum": 23},
        "size_x": {"type": "integer", "minimum": 1, "maximum": 24},
        "size_y": ID,
        "parameter_mappings": nullable({"type": "array", "items": MAPPING}),
    },
    "required": ["id", "row", "col", "size_x", "size_y"],
}
DETAILS = {
    "type": "object",
    "properties": {
        "host": TEXT,
        "port": ID,
        "dbname": TEXT,
        "user": TEXT,
        "password": TEXT,
        "ssl": {"type": "boolean"},
    },
    "required": ["host", "port", "dbname", "user", "password", "ssl"],
}

BODIES = {
    "POST setup": closed(
        {
            "token": TEXT,
            "user": closed(
                {"email": TEXT, "password": TEXT}, first_name=nullable(TEXT), last_name=nullable(TEXT)
            ),
            "prefs": closed({"site_name": TEXT}, site_locale=nullable(TEXT)),
        }
    ),
    "POST session": closed({"username": TEXT, "password": TEXT}),
    "POST database": closed(
        {
            "name": TEXT,
            "engine": {"const": "postgres"},
            "details": DETAILS,
            "is_full_sync": {"type": "boolean"},
            "is_on_demand": {"type": "boolean"},
            "connection_source": {"enum": ["admin", "setup"]},
        }
    ),
    "PUT database/#": closed({}, details=DETAILS, name=TEXT),
    "POST database/#/sync_schema": closed({}),
    "PUT field/#": closed(
        {},
        description=nullable(TEXT),
        semantic_type=nullable({"type": "string", "pattern": "^type/[A-Z][A-Za-z]+$"}),
        visibility_type={"enum": ["retired", "sensitive", "normal", "hidden", "details-only"]},
        settings=nullable(MAP),
    ),
    "POST collection": closed({"name": TEXT}, description=nullable(TEXT), parent_id=nullable(ID)),
    "POST card": closed(
        {"name": TEXT, "dataset_query": QUERY, "display": TEXT, "visualization_settings": MAP},
        description=nullable(TEXT),
        collection_id=nullable(ID),
        entity_id=nullable({"type": "string", "pattern": "^[A-Za-z0-9_-]{21}$"}),
    ),
    "PUT card/#": closed({}, name=TEXT, dataset_query=QUERY, archived={"type": "boolean"}, collection_id=ID),
    "POST dashboard": closed(
        {"name": TEXT}, description=nullable({"type": "string"}), collection_id=nullable(ID)
    ),
    "PUT dashboard/#": closed(
        {},
        name=TEXT,
        collection_id=ID,
        archived={"type": "boolean"},
        parameters=nullable({"type": "array", "items": PARAMETER}),
        dashcards=nullable({"type": "array", "items": DASHCARD}),
        tabs=nullable({"type": "array", "items": closed({"id": {"type": "integer"}, "name": TEXT})}),
    ),
}
"""Schemas of the request bodies by call; other calls are refused."""
