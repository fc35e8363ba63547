"""The user's stream maps, as far as the tap has to know them: which streams they name, and which they drop.

The SDK applies them, see "Stream Maps" in its documentation; a name that it does not know it passes over, so that
what was to be hidden would be written as it is.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from fnmatch import fnmatch
from typing import Any

from tap_pipedrive.nearest import nearest

ELSE, SOURCE = "__else__", "__source__"
"""Keys of the SDK: what happens to streams without a map, and of which stream a map makes another one."""

NULL = (None, "__NULL__")
"""Values of the SDK that drop a stream or a column."""


class StreamMaps:
    """The setting `stream_maps`: maps by stream, or by a pattern such as `deal*`."""

    def __init__(self, setting: Any, streams: Sequence[str]) -> None:
        """`streams`: names of all streams."""
        self._maps: dict[str, Any] = dict(setting) if isinstance(setting, Mapping) else {}
        self._streams = streams

    def errors(self) -> Iterator[str]:
        """Yield a sentence for each map of a stream that does not exist."""
        for name in self._maps:
            source = self._source(name)
            if name != ELSE and not any(fnmatch(stream, source) for stream in self._streams):
                yield f"Setting stream_maps: there is no stream {source}{nearest(source, self._streams)}"

    def drops(self, stream: str) -> bool:
        """Return whether nothing of a stream is written, as its map is null and no other map is made of it."""
        of_stream = {name: one for name, one in self._maps.items() if fnmatch(stream, self._source(name))}
        if any(SOURCE in one for one in of_stream.values() if isinstance(one, dict)):
            return False
        of_stream.pop(ELSE, None)
        if not of_stream:
            return ELSE in self._maps and self._maps[ELSE] in NULL
        return list(of_stream.values())[-1] in NULL  # of several patterns, the SDK takes the last

    def warnings(self, stream: str, columns: Set[str]) -> Iterator[str]:
        """Yield a sentence for each column that a map leaves out, and the stream does not have."""
        for name, one in self._maps.items():
            if name == stream and isinstance(one, dict):
                for column, rule in one.items():
                    if rule in NULL and not column.startswith("__") and column not in columns:
                        yield f"Setting stream_maps: {stream} has no column {column}{nearest(column, columns)}"

    def _source(self, name: str) -> str:
        one = self._maps[name]
        return str(one.get(SOURCE, name)) if isinstance(one, dict) else name
