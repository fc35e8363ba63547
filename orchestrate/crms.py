"""What `make run` has to know of each CRM that it can read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Crm:
    """A CRM, its plugins in meltano.yml, and its sandbox."""

    name: str
    ways_in: tuple[str, ...]
    """Variables of which one is set when .env names an account."""
    plugins: tuple[str, ...]
    """What has to be installed, the extractor first."""
    demo_plugins: tuple[str, ...]
    """What has to be installed for the demo."""
    jobs: tuple[str, str]
    """Its job, and that of the demo."""
    schema: str
    schema_variable: str
    """The loader's setting that names another schema."""
    sandbox: tuple[str, ...]
    """The command, and the options that make a demo of it."""
    way_to_sandbox: Mapping[str, str]
    """Variables that lead the demo's extractor there, and what of the sandbox's address they are."""
    progress: tuple[str, ...]
    """What is worth showing of the tap's log."""
    figures: str
    """The mart with the figures to print."""
    example: str
    """A mart to look at."""

    @property
    def tap(self) -> str:
        """Name of the extractor."""
        return self.plugins[0]

    def raw_schema(self, environment: Mapping[str, str]) -> str:
        """Where its raw tables are."""
        return environment.get(self.schema_variable) or self.schema


CRMS = {
    "pipedrive": Crm(
        name="Pipedrive",
        ways_in=("TAP_PIPEDRIVE_API_TOKEN", "TAP_PIPEDRIVE_REFRESH_TOKEN"),
        plugins=("tap-pipedrive", "target-postgres", "dbt-postgres"),
        demo_plugins=("tap-pipedrive", "target-postgres", "dbt-postgres"),
        jobs=("sync", "demo"),
        schema="pipedrive",
        schema_variable="TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA",
        # requests in 2 s, as an app on the largest plan: the history costs a request per deal
        sandbox=("pipedrive-sandbox", "serve", "--burst", "480"),
        way_to_sandbox={"TAP_PIPEDRIVE_DEMO_API_URL": "url", "TAP_PIPEDRIVE_DEMO_API_TOKEN": "token"},
        progress=(" rows in ", " rows so far"),
        figures="headline_figures",
        example="main_bi",
    ),
    "hubspot": Crm(
        name="HubSpot",
        ways_in=("TAP_HUBSPOT_ACCESS_TOKEN", "TAP_HUBSPOT_API_KEY", "TAP_HUBSPOT_REFRESH_TOKEN"),
        plugins=("tap-hubspot", "target-postgres", "dbt-postgres"),
        demo_plugins=("tap-hubspot", "target-postgres", "dbt-postgres"),
        jobs=("sync-hubspot", "demo-hubspot"),
        schema="hubspot",
        schema_variable="TARGET_POSTGRES_HUBSPOT_DEFAULT_TARGET_SCHEMA",
        sandbox=("hubspot-sandbox", "serve"),
        way_to_sandbox={"TAP_HUBSPOT_DEMO_API_URL": "url", "TAP_HUBSPOT_DEMO_ACCESS_TOKEN": "token"},
        progress=("Beginning sync of ", "requests to HubSpot"),
        figures="headline_figures_hubspot",
        example="mart_companies",
    ),
}
