"""The settings, once: validation, defaults and the text that `--about`, the README and meltano.yml repeat."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tap_pipedrive.values import MAX_IDENTIFIER

_COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


class Settings(BaseModel):
    """What a user can set."""

    model_config = ConfigDict(extra="forbid")

    api_token: str = Field(
        title="API token",
        description="A user's personal API token: Personal preferences > API in Pipedrive. "
        "The tap sees what this user may see, so take one with admin rights.",
        json_schema_extra={"secret": True},
    )
    api_url: str = Field(
        "https://api.pipedrive.com",
        title="API URL",
        description="Where the API answers. `https://YOURCOMPANY.pipedrive.com` is a little faster.",
    )
    start_date: datetime | None = Field(
        None,
        title="Start date",
        description="Leave out records that were last updated before this moment. Default: everything.",
    )
    lookback_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = Field(
        60,
        title="Look-back, seconds",
        description="How far each incremental run reads back before its bookmark; rows read twice are "
        "updated in place.",
    )
    custom_fields: Literal["columns", "json", "both"] = Field(
        "columns",
        title="Custom fields",
        description="`columns`: typed, named columns; `json`: one raw `custom_fields` object by key; `both`.",
    )
    custom_field_names: dict[str, str] = Field(
        default_factory=dict,
        title="Custom field names",
        description="Column names of your choice, by the field's 40-character key.",
    )
    max_custom_field_columns: Annotated[int, Field(ge=0, le=1400)] = Field(
        1200,
        title="Most custom-field columns per table",
        description="What is beyond goes into the JSON column `custom_fields_overflow`; Postgres allows "
        "1,600 columns in all.",
    )
    history: Literal["stage", "all", "none"] = Field(
        "stage",
        title="History of deals",
        description="What `deal_changes` holds: moves between stages, changes of all fields, or nothing. Each "
        "deal that has changed costs a call of 20 tokens; deals that never moved cost none.",
    )
    concurrency: Annotated[int, Field(ge=1, le=16)] = Field(
        4,
        title="Requests in flight",
        description="How many requests may be under way at once, within Pipedrive's rate limit.",
    )
    reconcile: bool = Field(
        False,
        title="Reconcile",
        description="Read everything in this run, and mark the rows that are gone in Pipedrive: the target "
        "sets `_sdc_deleted_at`. For a weekly run; it keeps the state of the other runs.",
    )
    reconcile_min_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.8,
        title="Least share of rows in a complete pass",
        description="A complete pass marks rows as deleted only when it sees at least this share of the rows "
        "of the one before: a token that lost rights must not empty a warehouse.",
    )
    max_rejects: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.01,
        title="Most rejects",
        description="Fail the run when a larger share of a stream's rows has values that do not fit their "
        "column; up to ten rows are always forgiven. Each such value is kept in `rejected_values`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A line `TAP_PIPEDRIVE_START_DATE=` in .env means: not set."""
        return {name: value for name, value in settings.items() if value not in (None, "")}

    @field_validator("api_token")
    @classmethod
    def _is_one_word(cls, token: str) -> str:
        if not re.match(r"^[!-~]+$", token.strip()):
            raise ValueError("is no API token: it has blanks or characters that no token has")
        return token.strip()

    @field_validator("api_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            host = ""
        plain = re.fullmatch(r"https?://[^/?#@\s]+/?", url)
        if not plain or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", host):
            raise ValueError("is not an address like https://yourcompany.pipedrive.com")
        return url.rstrip("/")

    @field_validator("start_date", mode="before")
    @classmethod
    def _is_a_date(cls, moment: Any) -> Any:
        """Pydantic would take a bare number for seconds since 1970."""
        if isinstance(moment, str) and not re.match(r"\d{4}-\d\d-\d\d", moment):
            raise ValueError("is no date like 2026-01-31 or 2026-01-31T00:00:00Z")
        if not isinstance(moment, str | datetime):
            raise ValueError("is no text with a date like 2026-01-31")
        return moment

    @field_validator("start_date")
    @classmethod
    def _is_in_utc(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    @field_validator("custom_field_names")
    @classmethod
    def _are_column_names(cls, names: dict[str, str]) -> dict[str, str]:
        for key, name in names.items():
            if not _COLUMN_NAME.fullmatch(name) or len(name) > MAX_IDENTIFIER:
                raise ValueError(
                    f"{key}: {name!r} is no column name: use a-z, 0-9 and _, starting with a letter, "
                    f"at most {MAX_IDENTIFIER} characters"
                )
        return names


def config_schema() -> dict[str, Any]:
    """The settings as the JSON Schema that the Singer SDK and Meltano read."""
    schema = Settings.model_json_schema()
    for setting in schema["properties"].values():
        if "anyOf" in setting:  # an optional setting: Singer writes {"type": ["string", "null"]}
            kinds = [kind for kind in setting.pop("anyOf") if kind != {"type": "null"}]
            setting.update(kinds[0])
            setting["type"] = [setting["type"], "null"]
        if setting["type"] == "object":
            setting.setdefault("default", {})
    return {"type": "object", "properties": schema["properties"], "required": schema["required"]}


def sentences(error: ValidationError) -> list[str]:
    """A validation error, one sentence per setting; values are left out, as one may be the token."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        setting = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "missing":
            found.append(f"Setting {setting} is missing: set it, or TAP_PIPEDRIVE_{setting.upper()} in .env.")
        elif problem["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            found.append(f"Setting {setting} is unknown: the settings are {known}.")
        else:
            found.append(f"Setting {setting}: {problem['msg'].removeprefix('Value error, ')}.")
    return found
