"""Write `tap-pipedrive.yml`, the definition for Meltano Hub, from the tap's settings.

`python tap-pipedrive/hub/generate.py`; for the Hub itself, with the address of the public repository behind it.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from tap_pipedrive.settings import APP, config_schema
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.tap import TapPipedrive

DEFINITION = Path(__file__).with_name("tap-pipedrive.yml")

KINDS = {
    "string": "string",
    "integer": "integer",
    "number": "decimal",
    "boolean": "boolean",
    "object": "object",
    "array": "array",
}
"""Meltano's kind of a setting, by the type in JSON Schema."""


def setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A setting as the Hub describes it."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    described: dict[str, Any] = {
        "name": name,
        "label": schema["title"],
        "description": schema["description"],
        "kind": KINDS[next(each for each in types if each != "null")],
    }
    if schema.get("format") == "date-time":
        described["kind"] = "date_iso8601"
    if "enum" in schema:
        described["kind"] = "options"
        described["options"] = [{"label": value.capitalize(), "value": value} for value in schema["enum"]]
    if schema.get("secret"):
        described["sensitive"] = True
    if schema.get("default") not in (None, {}):
        described["value"] = schema["default"]
    return described


def definition(repository: str | None = None) -> dict[str, Any]:
    """The plugin as the Hub describes it; without a public repository it is installed from this one."""
    schema = config_schema()
    TapPipedrive.append_builtin_config(schema)
    selected = [vars(stream)["name"] for stream in STREAMS if stream.selected_by_default]
    source = {"repo": repository, "pip_url": f"git+{repository}.git#subdirectory=tap-pipedrive"}
    return {
        "name": TapPipedrive.name,
        "variant": "pipedrive-warehouse",
        "namespace": "tap_pipedrive",
        "label": "Pipedrive",
        "description": "Sales CRM: deals, leads, contacts, activities and their history",
        "domain_url": "https://developers.pipedrive.com/docs/api/v1",
        "logo_url": "/assets/logos/extractors/pipedrive.png",
        **(source if repository else {"pip_url": "./tap-pipedrive"}),
        "executable": TapPipedrive.name,
        "maintenance_status": "active",
        "keywords": ["api", "meltano_sdk"],
        "capabilities": sorted(each.value for each in TapPipedrive.capabilities),
        "select": [f"{name}.*" for name in selected],  # Meltano would select the costly ones too
        "settings": [setting(name, each) for name, each in schema["properties"].items()],
        "settings_group_validation": [["api_token"], list(APP)],
    }


def text(repository: str | None = None) -> str:
    """The definition in YAML."""
    return yaml.safe_dump(definition(repository), sort_keys=False, allow_unicode=True, width=100)


if __name__ == "__main__":
    DEFINITION.write_text(text(*sys.argv[1:2]))
