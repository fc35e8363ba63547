"""What `make run` has to know of each CRM that it can read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Crm:
    """A CRM, its plugins in meltano.yml, and its sandbox."""

    name: str
    credentials: tuple[tuple[str, ...], ...]
    """Variables that name an account: all of one of these groups."""
    plugins: tuple[str, ...]
    """What has to be installed, the extractor first."""
    demo_plugins: tuple[str, ...]
    """What has to be installed for the demo."""
    jobs: tuple[str, str]
    """Its job, and that of the demo."""
    loader: str
    schema: str
    schema_variable: str
    """The loader's setting that names another schema."""
    outdated: tuple[str, str] | None
    """A table and a column by which the tables of an earlier tap are known, which this one cannot go on with."""
    sandbox: tuple[str, ...]
    """The command, and the options that make a demo of it."""
    sandbox_variables: Mapping[str, str]
    """Variables that lead the demo's extractor there, and what of the sandbox's address they are."""
    progress: tuple[str, ...]
    """What is worth showing of the tap's log."""
    figures: str
    """The mart with the figures to print."""
    example: str
    """A mart to look at."""
    summary: str | None
    """The model that says in words how complete the tables are."""

    def has_account(self, environment: Mapping[str, str]) -> bool:
        """Whether the environment names an account."""
        return any(all(environment.get(name) for name in names) for names in self.credentials)

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
        # requests in 2 s, as an app on the largest plan: the history costs a request per deal
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
            ("TAP_HUBSPOT_API_KEY",),  # its name in tap-hubspot 4.5.0
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
