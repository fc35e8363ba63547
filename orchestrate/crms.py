"""The properties of each CRM that `make run` can read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Crm:
    """A CRM with its plugins in meltano.yml and its sandbox."""

    name: str
    credentials: tuple[tuple[str, ...], ...]
    """Groups of variables; an account is configured if all variables of one group are set."""
    plugins: tuple[str, ...]
    """The plugins to install, the extractor first."""
    demo_plugins: tuple[str, ...]
    """The plugins to install for the demo."""
    jobs: tuple[str, str]
    """The names of the job and of the demo's job."""
    loader: str
    schema: str
    schema_variable: str
    """The loader's setting for the schema."""
    outdated: tuple[str, str] | None
    """A table and a column that identify the tables of an earlier tap, which this one cannot continue."""
    sandbox: tuple[str, ...]
    """The sandbox's command, with its options for the demo."""
    sandbox_variables: Mapping[str, str]
    """Variables with the sandbox's address for the demo's extractor, and the part of the address in each."""
    progress: tuple[str, ...]
    """A pattern of the tap's log messages that a run shows."""
    figures: str
    """The mart with the headline figures to print."""
    example: str
    """A mart that users are told to look at."""
    summary: str | None
    """The model that describes in words how complete the tables are."""

    def has_account(self, environment: Mapping[str, str]) -> bool:
        """Return whether the environment has the variables of an account."""
        return any(all(environment.get(name) for name in names) for names in self.credentials)

    @property
    def tap(self) -> str:
        """Return the name of the extractor."""
        return self.plugins[0]

    def raw_schema(self, environment: Mapping[str, str]) -> str:
        """Return the schema of the raw tables."""
        return environment.get(self.schema_variable) or self.schema


CRMS = {
    "pipedrive": Crm(
        name="Pipedrive",
        credentials=(
            ("TAP_PIPEDRIVE_API_TOKEN",),
            ("TAP_PIPEDRIVE_CLIENT_ID", "TAP_PIPEDRIVE_CLIENT_SECRET", "TAP_PIPEDRIVE_REFRESH_TOKEN"),
        ),
        plugins=("tap-pipedrive", "target-postgres", "dbt-postgres"),
        demo_plugins=("tap-pipedrive", "target-postgres", "dbt-postgres"),
        jobs=("sync", "demo"),
        loader="target-postgres",
        schema="pipedrive",
        schema_variable="TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA",
        outdated=None,
        # requests per 2 s, as for an app on the largest plan, because the history costs a request per deal
        sandbox=("pipedrive-sandbox", "serve", "--burst", "480"),
        sandbox_variables={"TAP_PIPEDRIVE_DEMO_API_URL": "url", "TAP_PIPEDRIVE_DEMO_API_TOKEN": "token"},
        progress=(" rows in ", " rows so far"),
        figures="headline_figures",
        example="main_bi",
        summary="load_summary",
    ),
    "hubspot": Crm(
        name="HubSpot",
        credentials=(
            ("TAP_HUBSPOT_ACCESS_TOKEN",),
            ("TAP_HUBSPOT_API_KEY",),  # the column's name in tap-hubspot 4.5.0
            ("TAP_HUBSPOT_CLIENT_ID", "TAP_HUBSPOT_CLIENT_SECRET", "TAP_HUBSPOT_REFRESH_TOKEN"),
        ),
        plugins=("tap-hubspot", "target-postgres", "dbt-postgres"),
        demo_plugins=("tap-hubspot", "target-postgres", "dbt-postgres"),
        jobs=("sync-hubspot", "demo-hubspot"),
        loader="target-postgres-hubspot",
        schema="hubspot",
        schema_variable="TARGET_POSTGRES_HUBSPOT_DEFAULT_TARGET_SCHEMA",
        outdated=("companies", "companyId"),  # tap-hubspot 4.5.0
        sandbox=("hubspot-sandbox", "serve"),
        sandbox_variables={"TAP_HUBSPOT_DEMO_API_URL": "url", "TAP_HUBSPOT_DEMO_ACCESS_TOKEN": "token"},
        progress=("Beginning sync of ", "requests to HubSpot"),
        figures="headline_figures_hubspot",
        example="mart_companies",
        summary=None,
    ),
}
