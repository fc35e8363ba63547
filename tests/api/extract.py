"""Writes endpoints.json, the part of Pipedrive's API documentation that the tests use.

    PIPEDRIVE_DOCS=<folder> .venv/bin/python tests/api/extract.py

The folder contains Pipedrive's own documents, `openapi-v1.yaml` and `openapi-v2.yaml`, from its developers'
site. The table has a line for each endpoint that can be read: its price in API tokens, the values of its
parameter `include_fields`, and the schema of its answer without texts.
"""

import json
import os
from pathlib import Path
from typing import Any

import yaml

TABLE = Path(__file__).with_name("endpoints.json")
VERSIONS = ("v1", "v2")

LISTS_OF_SCHEMAS = ("allOf", "anyOf", "oneOf")
PLAIN = (
    "additionalProperties",
    "enum",
    "format",
    "maxLength",
    "minLength",
    "minimum",
    "nullable",
    "required",
    "type",
)
"""Keywords that restrict an answer, besides those that contain further schemas."""


def extract(folder: Path) -> dict[str, Any]:
    """Return the table from the documents in a folder.

    Raises FileNotFoundError if one of them is not there.
    """
    table = {}
    for version in VERSIONS:
        with (folder / f"openapi-{version}.yaml").open() as file:
            document = yaml.load(file, Loader=yaml.CSafeLoader)
        for path, methods in document["paths"].items():
            if "get" in methods:
                table[f"/api/{version}{path}"] = _endpoint(document, methods["get"])
    return dict(sorted(table.items()))


def _endpoint(document: dict[str, Any], get: dict[str, Any]) -> dict[str, Any]:
    parameters = {
        _followed(document, each)["name"]: _followed(document, each) for each in get.get("parameters", ())
    }
    content = get["responses"]["200"].get("content", {}).get("application/json", {})
    return {
        "tokens": get.get("x-token-cost"),
        "include_fields": parameters.get("include_fields", {}).get("schema", {}).get("enum", []),
        "answer": _bare(document, content.get("schema", {})),
    }


def _followed(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the target of a reference."""
    while "$ref" in value:
        reference, value = value["$ref"], document
        for part in reference.split("/")[1:]:
            value = value[part]
    return value


def _bare(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references, titles, descriptions and examples."""
    schema = _followed(document, schema)
    bare: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "properties":
            bare[keyword] = {name: _bare(document, each) for name, each in value.items()}
        elif keyword in LISTS_OF_SCHEMAS:
            bare[keyword] = [_bare(document, each) for each in value]
        elif keyword == "items" or (keyword == "additionalProperties" and isinstance(value, dict)):
            bare[keyword] = _bare(document, value)
        elif keyword in PLAIN:
            bare[keyword] = value
    return bare


def text(table: dict[str, Any]) -> str:
    """Return the table as text, with a line for each endpoint."""
    lines = (f"{json.dumps(path)}: {json.dumps(row, separators=(',', ':'))}" for path, row in table.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text(extract(Path(os.environ["PIPEDRIVE_DOCS"]))))
