"""The tap: its settings and its streams."""

from collections.abc import Sequence
from typing import Any, ClassVar

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities

from tap_hubspot.auth import auth_of
from tap_hubspot.client import Client
from tap_hubspot.errors import HubspotError, Unreadable
from tap_hubspot.objects import pages
from tap_hubspot.streams import HubspotStream, streams_of

SETTINGS = th.PropertiesList(
    th.Property(
        "access_token", th.StringType, secret=True, description="Token of a service key or private app."
    ),
    th.Property("client_id", th.StringType, description="OAuth client ID of an app."),
    th.Property("client_secret", th.StringType, secret=True, description="OAuth client secret of an app."),
    th.Property("refresh_token", th.StringType, secret=True, description="OAuth refresh token of an app."),
    th.Property(
        "api_url", th.StringType, default="https://api.hubapi.com", description="Address of the API."
    ),
    th.Property(
        "lookback_seconds",
        th.IntegerType,
        default=300,
        description="Seconds before the bookmark that are read again: a search finds a change some moments later.",
    ),
    th.Property(
        "reconcile",
        th.BooleanType,
        default=False,
        description="Read everything, and mark what is gone in HubSpot.",
    ),
    th.Property(
        "reconcile_min_ratio",
        th.NumberType,
        default=0.8,
        description="Share of the last complete pass's rows below which nothing is marked.",
    ),
)


class TapHubspot(Tap):
    """Reads companies, contacts and deals of HubSpot, with the properties that are selected, incrementally."""

    name = "tap-hubspot"
    package_name = "pipedrive-warehouse-tap-hubspot"
    config_jsonschema: ClassVar[dict[str, Any]] = SETTINGS.to_dict()
    dynamic_catalog = True
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, **kwargs: Any) -> None:
        self.missing: dict[str, str] = {}
        """Streams that could not be read, with the reason."""
        self._client: Client | None = None
        super().__init__(**kwargs)

    @property
    def client(self) -> Client:
        """Return the client of the account's API."""
        if self._client is None:
            url = self.config["api_url"]
            self._client = Client(url, auth_of(url, self.config))
        return self._client

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state of an earlier run. Raises HubspotError if it has another shape."""
        bookmarks = state.get("bookmarks", {})
        if not isinstance(bookmarks, dict) or not all(isinstance(each, dict) for each in bookmarks.values()):
            raise HubspotError("The state has bookmarks that are no objects: correct or clear it.")
        super().load_state(state)

    def discover_streams(self) -> Sequence[HubspotStream]:
        """Return all streams."""
        return streams_of(self)

    def property_names(self, name: str) -> Sequence[str]:
        """Return the properties of an object from the catalog, or otherwise those that the account defines.

        A catalog has none if HubSpot refuses to list them; it contains the other objects then.
        """
        if self.input_catalog is not None:
            entry = self.input_catalog.get_stream(name)
            column = (entry.schema.properties or {}).get("properties") if entry else None
            return list((column.properties if column else None) or ())
        try:
            return self.defined_properties(name)
        except Unreadable as problem:
            self.logger.warning("The catalog is without the properties of %s: %s", name, problem)
            return ()

    def defined_properties(self, name: str) -> Sequence[str]:
        """Return the properties that the account defines for an object. Raises Unreadable."""
        path = f"/crm/v3/properties/{name}"
        found = (each.get("name") for page in pages(self.client, path, {}) for each in page)
        return [each for each in found if each and isinstance(each, str)]

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync the streams, then report what is missing. The SDK calls this method final, but has no hook for
        a run's end.

        Raises HubspotError if a stream could not be read, after the others were written.
        """
        super().sync_all()
        self.logger.info("Sent %d requests to HubSpot", self.client.requests.total())
        if self.missing:
            name, problem = next(iter(self.missing.items()))
            raise HubspotError(
                f"The run is not complete, as {' and '.join(self.missing)} could not be read, but the rest is "
                f"loaded. Of {name}: {problem}"
            )
