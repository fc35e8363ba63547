"""The shape of what users and runners hand in: JSON files, the state, the catalog, the stream maps.

The SDK takes it for granted. Each function raises PipedriveError with the stream and the key that are wrong.
"""

import ast
import io
import json
import logging
from collections.abc import Collection, Mapping
from typing import IO, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

from tap_pipedrive.errors import PipedriveError

DEEPEST = 100
"""Objects and lists within each other; no state or catalog has so many."""

Method: TypeAlias = Literal["INCREMENTAL", "FULL_TABLE"] | None

Shape = TypeVar("Shape", bound=msgspec.Struct)

logger = logging.getLogger("tap-pipedrive")


class _Partition(msgspec.Struct):
    context: dict[str, Any]
    complete_pass_rows: Annotated[int, msgspec.Meta(ge=0)] = 0
    first_load: dict[str, Any] = {}
    place: dict[str, Any] = {}
    progress_markers: dict[str, Any] = {}


class _Bookmark(_Partition):
    context: dict[str, Any] = {}
    partitions: list[_Partition] = []


class _Schema(msgspec.Struct, frozen=True):
    properties: "dict[str, _Schema] | None" = None


class _Selection(msgspec.Struct, frozen=True, rename="kebab"):
    selected: bool | None = None
    selected_by_default: bool | None = None
    forced_replication_method: Method = None


class _Metadata(msgspec.Struct):
    breadcrumb: list[str]
    metadata: _Selection = _Selection()


class _Entry(msgspec.Struct):
    tap_stream_id: str
    schema: _Schema = _Schema()
    metadata: list[_Metadata] = []
    key_properties: list[str] | None = None
    replication_method: Method = None


def json_object(file: IO[str] | None, option: str) -> IO[str] | None:
    """Return a file of the command line, which holds a JSON object."""
    if file is None:
        return None
    with file:
        try:
            text = file.read()
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        except OSError as error:
            raise PipedriveError(f"{option}: {file.name} cannot be read: {error.strerror}.") from None
    if not isinstance(content, dict) or _is_deep(content):
        raise PipedriveError(f"{option}: {file.name} does not hold a JSON object (or one too deep).")
    return io.StringIO(text)


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for several in inner for each in several if isinstance(each, dict | list)]
    return bool(level)


def check_state(state: Mapping[str, Any]) -> None:
    """Check the bookmarks of all streams."""
    bookmarks = state.get("bookmarks", {})
    if not isinstance(bookmarks, dict):
        raise PipedriveError("The state's bookmarks are no object: correct or clear the state.")
    try:
        msgspec.json.encode(state)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise PipedriveError(
            "The state has texts or numbers that cannot be written again: correct or clear it."
        ) from None
    for stream, bookmark in bookmarks.items():
        _check(bookmark, _Bookmark, f"The state of {stream} is malformed", "correct or clear it")


def check_catalog(catalog: Mapping[str, Any], known: Collection[str]) -> None:
    """Check the entries of all streams, of which one at least has to be known. Warns of what they deselect within
    columns, which are written whole."""
    todo = "make a new one with --discover"
    entries = catalog.get("streams")
    if not isinstance(entries, list):
        raise PipedriveError(f"The catalog has no list of streams: {todo}.")
    for number, entry in enumerate(entries, 1):
        name = entry.get("tap_stream_id") if isinstance(entry, dict) else None
        checked = _check(entry, _Entry, f"The catalog's entry {name or number} is malformed", todo)
        parts = [each.breadcrumb for each in checked.metadata if each.metadata.selected is False]
        if within := {part[1] for part in parts if len(part) > 2 and part[:2] not in parts}:
            logger.warning(
                "The catalog deselects parts of %s in %s, but columns are written whole: deselect or mask it.",
                ", ".join(sorted(within)),
                name,
            )
    if known.isdisjoint(entry["tap_stream_id"] for entry in entries):  # type: ignore[attr-defined]
        raise PipedriveError(f"The catalog has none of the streams of this tap: {todo}.")


def _check(value: Any, shape: type[Shape], what: str, todo: str) -> Shape:
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half an emoji
        where = str(error).replace("`$.", "`").replace(" - at `$`", "")
        raise PipedriveError(f"{what} ({where}): {todo}.") from None


def check_stream_maps(stream_maps: Any) -> None:
    """Check the setting `stream_maps`, as far as it can be judged without the columns."""
    if not isinstance(stream_maps, dict):
        raise PipedriveError("Setting stream_maps is no object of streams: correct it.")
    for stream, rules in stream_maps.items():
        if not isinstance(rules, dict):
            if rules is not None and not isinstance(rules, str):
                raise PipedriveError(
                    f"Setting stream_maps, stream {stream}: the rules are no object: correct it."
                )
            continue
        for column, rule in rules.items():
            if problem := _problem(column, rule):
                raise PipedriveError(
                    f"Setting stream_maps, stream {stream}, {column}: {problem}: correct it."
                )


def _problem(column: str, rule: Any) -> str | None:
    if rule is None or (rule == "__NULL__" and column == "__else__"):
        return None
    if column == "__else__":
        return "it can only be null"
    if column == "__key_properties__":
        is_list = isinstance(rule, list) and all(isinstance(each, str) for each in rule)
        return None if is_list else "it is no list of columns"
    if not isinstance(rule, str) or not rule.strip():
        return "it is no text with an expression"
    try:
        ast.parse("" if column in ("__alias__", "__source__") else rule.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"{rule[:100]!r} is no expression"
    return None
