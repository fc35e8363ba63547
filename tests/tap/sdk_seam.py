"""What the tap uses of the Singer SDK beyond its public interface: names, signatures, attributes.

`python sdk_seam.py` prints how the SDK of that interpreter differs.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

from singer_sdk import Tap
from singer_sdk.streams import Stream

SEAM: dict[str, dict[str, tuple[str, ...] | None]] = {
    "Stream": {
        "_sync_records": ("self", "context", "write_messages"),
        "_singer_catalog_entry": None,
        "_write_schema_message": ("self",),
        "_write_activate_version_message": ("self", "full_table_version"),
        "_check_max_record_limit": ("self", "current_record_index"),
        "get_replication_key_signpost": ("self", "context"),
        "emit_activate_version_messages": None,
        "selected": None,
    },
    "Tap": {
        "_validate_config": ("self", "raise_errors"),
        "_handle_termination": ("self", "signum", "frame"),
        "append_builtin_config": ("config_jsonschema",),
        "streams": None,
        "sync_all": ("self",),
        "load_state": ("self", "state"),
        "cb_discover": ("ctx", "param", "value"),
        "cb_config": ("ctx", "param", "value"),
        "invoke": ("about", "about_format", "config", "state", "catalog"),
    },
}
"""Members of SDK classes that `sdk.py` and `tap.py` override or use, with parameters; None means a property."""

ATTRIBUTES = {
    "Stream": ("_stream_maps", "_tap_input_catalog", "_metadata", "_mask"),
    "Tap": ("_catalog", "_state_writer", "_streams"),
}
"""Attributes that the SDK sets in its constructors."""


def names(of_class: type, wanted: dict[str, Any]) -> dict[str, tuple[str, ...] | None]:
    """Return the parameters of a class's methods, or None for a property."""
    found: dict[str, tuple[str, ...] | None] = {}
    for name in wanted:
        member = getattr(of_class, name)
        is_property = isinstance(inspect.getattr_static(of_class, name), property)
        found[name] = None if is_property else tuple(inspect.signature(member).parameters)
    return found


def missing() -> list[str]:
    """Return the differences between the installed SDK and what the tap expects of it."""
    found = []
    for of_class in (Stream, Tap):
        wanted = SEAM[of_class.__name__]
        found += [f"{of_class.__name__}.{name}" for name in wanted if not hasattr(of_class, name)]
        there = {name: each for name, each in wanted.items() if hasattr(of_class, name)}
        real = names(of_class, there)
        found += [f"{of_class.__name__}.{name}{real[name]}" for name in there if real[name] != there[name]]
        source = inspect.getsource(of_class.__init__)
        found += [name for name in ATTRIBUTES[of_class.__name__] if f"self.{name}" not in source]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(missing()))
