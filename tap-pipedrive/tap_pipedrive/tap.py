"""The tap: settings in, streams out."""

import json
from collections.abc import Mapping
from typing import IO, Any, ClassVar

import click
from pydantic import ValidationError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog

from tap_pipedrive.account_check import report
from tap_pipedrive.errors import BudgetSpent, PipedriveError
from tap_pipedrive.inputs import check_catalog, check_state, check_stream_maps, json_object
from tap_pipedrive.masks import Masks
from tap_pipedrive.memory import starved_runs
from tap_pipedrive.migrate import migrated
from tap_pipedrive.nearest import nearest
from tap_pipedrive.run import Run
from tap_pipedrive.sdk import SdkTap
from tap_pipedrive.settings import Settings, config_schema, sentences
from tap_pipedrive.stream_maps import StreamMaps
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream


class TapPipedrive(SdkTap):
    """Reads a Pipedrive account: every record, typed, with readable custom fields, incrementally."""

    name = "tap-pipedrive"
    package_name = "tap-pipedrive-warehouse"  # on PyPI, tap-pipedrive is another tap
    config_jsonschema: ClassVar[dict[str, Any]] = config_schema()
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    settings: Settings

    def __init__(self, *, setup_mapper: bool = True, **kwargs: Any) -> None:
        """Take what the SDK's Tap takes. The mapper comes last: it needs the columns, and those of custom
        fields need the names in the state. Raises PipedriveError for input of a wrong shape."""
        self._are_settings_valid = True
        self._starved: dict[str, int] = {}  # in how many runs in a row a stream had no turn
        if isinstance(catalog := kwargs.get("catalog"), dict):
            check_catalog(catalog, {str(stream.name) for stream in STREAMS})  # type: ignore[misc]
        super().__init__(setup_mapper=False, **kwargs)
        self.run = Run(self.settings, lambda: self.streams, self.logger)
        self.run.definitions.is_unavailable = not self._are_settings_valid
        if setup_mapper:
            try:
                self.setup_mapper()
            except BudgetSpent as error:  # before the columns are known: nothing is read
                self.run.stop_before_rows(error)
                self.setup_mapper()

    # Settings, state and catalog

    def check_settings(self, *, raise_errors: bool) -> list[str]:
        """Check the settings. Raises PipedriveError, or returns the errors for a catalog without custom fields."""
        builtin = self.config_jsonschema["properties"].keys() - Settings.model_fields.keys()
        own = {name: value for name, value in self.config.items() if name not in builtin}
        if (stream_maps := self.config.get("stream_maps")) is not None:
            check_stream_maps(stream_maps)
        self.maps = StreamMaps(self.config.get("stream_maps"), [str(vars(one)["name"]) for one in STREAMS])
        errors = list(self.maps.errors())
        try:
            self.settings = Settings.model_validate(own)
        except ValidationError as error:
            errors = [*sentences(error), *errors]
            self.settings = Settings.model_construct()
        names = [str(vars(one)["name"]) for one in STREAMS]
        errors += Masks(self.settings).errors(names)
        errors += [
            f"Setting reread: there is no stream {stream}{nearest(stream, names)}"
            for stream in self.settings.reread
            if stream not in names
        ]
        if errors and raise_errors:
            raise PipedriveError(" ".join(errors)) from None
        if errors:
            self._are_settings_valid = False
            self.logger.warning("The catalog is without custom fields: %s", " ".join(errors))
        return errors

    def load_state(self, state: dict[str, Any]) -> None:
        """Take a state, which may be one of singer-io's tap-pipedrive."""
        check_state(state)
        super().load_state(migrated(state))
        bookmarks = self.state.get("bookmarks")
        states = bookmarks.items() if isinstance(bookmarks, dict) else ()
        self._starved = {name: starved_runs(each) for name, each in states}

    @classmethod
    def invoke(cls, *, state: IO[str] | None = None, catalog: IO[str] | None = None, **kwargs: Any) -> None:
        """Run the tap. Raises PipedriveError when a file does not hold a JSON object."""
        super().invoke(
            state=json_object(state, "--state"), catalog=json_object(catalog, "--catalog"), **kwargs
        )

    @classmethod
    def cb_config(
        cls: "type[TapPipedrive]", ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> Any:
        """Read the files with settings. Raises PipedriveError when one does not hold a JSON object."""
        for path in value:
            if path != "ENV":
                json_object(click.File(lazy=True).convert(path, param, ctx), "--config")
        return super().cb_config(ctx, param, value)

    @classmethod
    def cb_discover(cls: "type[TapPipedrive]", ctx: click.Context, param: click.Option, value: bool) -> None:
        """Discover with the state, if there is one: it holds the names of custom-field columns.

        Otherwise a column that keeps its name while its field was renamed would stand in the catalog under the
        new name, and a rule that selects or deselects it would miss it.
        """
        if not value:
            return
        config = ctx.params["config"]
        state = json_object(ctx.params.get("state"), "--state")
        tap = cls(
            config=config.config,
            state=state and json.load(state),
            parse_env_config=config.parse_env,
            validate_config=False,
            setup_mapper=False,
        )
        tap.run.definitions.is_discovering = True
        try:
            tap.run_discovery()
        finally:
            tap.run.log_cost()
        ctx.exit()

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command line, with one verb more than the SDK's."""
        command = super().get_singer_command()
        command.params.append(
            click.Option(
                ["--check-account"],
                is_flag=True,
                help="Write, as JSON and without personal data, which uncertain facts about the API hold here.",
                callback=cls.cb_check_account,
                expose_value=False,
            )
        )
        return command

    @classmethod
    def cb_check_account(
        cls: "type[TapPipedrive]", ctx: click.Context, param: click.Option, value: bool
    ) -> None:
        """Check the account instead of reading it. Raises PipedriveError when the token is refused."""
        if not value:
            return
        config = ctx.params["config"]
        tap = cls(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
        click.echo(report(tap.run.client, tap.plugin_version), nl=False)
        ctx.exit()

    # Streams

    def discover_streams(self) -> list[PipedriveStream]:
        """Return all streams; their columns are read when they are needed."""
        return [stream(self, self.run) for stream in STREAMS]

    @property
    def streams(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The streams by name, in the order of a run: first those for which the tokens of the last run did not
        suffice at all. The SDK would sort them by name."""
        streams = super().streams
        order = sorted(
            streams, key=lambda name: (-self._starved.get(name, 0), STREAMS.index(type(streams[name])))
        )
        return {name: streams[name] for name in order}

    @property
    def catalog(self) -> Catalog:
        """The selected streams with the columns that the account has now: a catalog file may be older."""
        return self.working_catalog(stream for stream in self.streams.values() if stream.selected)

    def run_streams(self) -> None:
        """Sync the selected streams, and report the run."""
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("The catalog selects no stream, so that nothing is read.")
        self.run.execute(self.sync_streams)
