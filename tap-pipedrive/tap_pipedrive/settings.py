"""The settings: validation, defaults and the texts that `--about`, the documents and meltano.yml repeat."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tap_pipedrive.values import MAX_IDENTIFIER

APP = ("client_id", "client_secret", "refresh_token")
"""The settings that an app needs, together."""

HASH, DROP = "hash", "drop"
"""How a column is masked."""

_COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def _secret(title: str, description: str, **more: Any) -> Any:
    return Field(None, title=title, description=description, json_schema_extra={"secret": True}, **more)


class Settings(BaseModel):
    """The settings of a user."""

    model_config = ConfigDict(extra="forbid")

    api_token: str | None = _secret(
        "API token",
        "A user's personal API token, from Personal preferences > API in Pipedrive. The tap reads "
        "only what this user may see, so use a user with admin rights.",
    )
    client_id: str | None = _secret(
        "OAuth client ID",
        "Instead of an API token: the client ID of an app in Pipedrive's Developer Hub.",
    )
    client_secret: str | None = _secret("OAuth client secret", "The client secret of the app.")
    refresh_token: str | None = _secret(
        "OAuth refresh token",
        "The token that Pipedrive issued when an admin installed the app. It expires after 60 days "
        "without a run.",
        validate_default=True,
    )
    oauth_url: str = Field(
        "https://oauth.pipedrive.com",
        title="OAuth URL",
        description="The address of the server that issues access tokens.",
    )
    api_url: str = Field(
        "https://api.pipedrive.com",
        title="API URL",
        description="The address of the API. `https://YOURCOMPANY.pipedrive.com` is a little faster. With OAuth, "
        "Pipedrive provides the address.",
    )
    start_date: datetime | None = Field(
        None,
        title="Start date",
        description="The first load leaves out records that were last updated before this time. Records without "
        "an update time are always read. Default: everything is read.",
    )
    lookback_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = Field(
        60,
        title="Look-back, seconds",
        description="How many seconds before its bookmark each incremental run begins to read. Rows that are read "
        "twice are updated in place.",
    )
    custom_fields: Literal["columns", "json", "both"] = Field(
        "columns",
        title="Custom fields",
        description="`columns`: typed columns named after the fields; `json`: one raw `custom_fields` object with "
        "the fields' keys; `both`: both of these.",
    )
    custom_field_names: dict[str, str] = Field(
        default_factory=dict,
        title="Custom field names",
        description="Column names that you choose for custom fields, by the field's 40-character key.",
    )
    max_custom_field_columns: Annotated[int, Field(ge=0, le=1400)] = Field(
        1200,
        title="Most custom-field columns per table",
        description="Fields beyond this number are in the JSON column `custom_fields_overflow`. Postgres allows "
        "1,600 columns per table.",
    )
    new_custom_fields: Literal["adopt", "ignore"] = Field(
        "adopt",
        title="New custom fields",
        description="What to do with a field that is added in Pipedrive after the first run. `adopt`: it gets its "
        "columns in the next run; `ignore`: its values stay in `custom_fields_overflow` until this "
        "setting is `adopt`.",
    )
    history: Literal["stage", "all", "none"] = Field(
        "stage",
        title="History of deals",
        description="Content of `deal_changes`: moves between stages (`stage`), changes of all fields (`all`), or "
        "nothing (`none`). Each deal that has changed costs a call of 20 tokens; deals that never "
        "changed cost nothing.",
    )
    concurrency: Annotated[int, Field(ge=1, le=16)] = Field(
        4,
        title="Requests in flight",
        description="The maximum number of simultaneous requests, within Pipedrive's rate limit.",
    )
    daily_token_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.5,
        title="Share of the day's tokens",
        description="The share of the company's daily API tokens that may be used. The tap stops before fewer "
        "tokens are left than the rest, which is reserved for other tools. The next run continues "
        "where this one stopped.",
    )
    token_budget: int | None = Field(
        None,
        ge=1,
        title="Tokens per run",
        description="The maximum number of API tokens that one run may spend. Default: no limit per run.",
    )
    redis_url: str | None = _secret(
        "Redis URL",
        "A Redis, such as `redis://localhost:6379`, in which several processes with the same token "
        "share their rate limits. Without it, each process counts on its own. Needs `pip install "
        "'tap-pipedrive-warehouse[redis]'`.",
    )
    reference_max_age: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = Field(
        24,
        title="Age of lists that change rarely, hours",
        description="Users, activity types, currencies, lead labels and archived leads are read again when the "
        "last reading is this many hours old, or when a row refers to one that is not in the list. A "
        "new name is seen up to that much later. 0: they are read in each run.",
    )
    cache_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        3600,
        title="Time to live of cached lists, seconds",
        description="How long field definitions and the lists of `reference_max_age`, except leads, are cached "
        "for later runs: in Redis if `redis_url` is set, otherwise in private files. A key or option "
        "that is not in the cache is requested at once; a new name is seen up to that much later. 0: "
        "no cache.",
    )
    cache_dir: str | None = Field(
        None,
        title="Folder of cached lists",
        description="Folder of the cached lists. Default: `tap-pipedrive` in `XDG_CACHE_HOME`, otherwise in "
        "`~/.cache`.",
    )
    reconcile: bool = Field(
        False,
        title="Reconcile",
        description="Read everything in this run and mark the rows that no longer exist in Pipedrive: the target "
        "sets `_sdc_deleted_at`. Meant for a weekly run; the bookmarks of other runs are kept.",
    )
    reconcile_min_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.8,
        title="Least share of rows in a complete pass",
        description="A complete pass marks rows as deleted only if it finds at least this share of the rows of "
        "the previous pass, so that a token that lost rights does not empty the warehouse.",
    )
    max_rejects: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        0.01,
        title="Most rejects",
        description="The run fails if more than this share of a stream's rows has values that do not fit their "
        "column; up to ten rows are always accepted. Each such value is kept in `rejected_values`.",
    )

    missing: Literal["fail", "note"] = Field(
        "fail",
        title="Missing lists",
        description="What happens when a list fails, or is refused although it had rows before. The other streams "
        "are read first. Then `fail` ends the run with an error; `note` writes a line to the log and "
        "rows to `run_statements`.",
    )
    max_unread: Annotated[int, Field(ge=0)] = Field(
        10,
        title="Most unread parents",
        description="Records whose own lists (history, line items, followers …) cannot be read are tried again in "
        "each run. Up to this number of them causes a warning; more count as a missing list.",
    )

    source_checks: Literal["daily", "each", "none"] = Field(
        "daily",
        title="Source checks",
        description="When to ask Pipedrive for counts and to read some rows again, so that the warehouse can "
        "compare them: in the first run of a day (`daily`), in `each` run, or never (`none`). This "
        "costs at most 120 tokens.",
    )

    reread: dict[str, Literal["all"] | list[int | str]] = Field(
        default_factory=dict,
        title="Read again",
        description="What this run reads regardless of its bookmarks, which stay as they are: whole tables, or "
        "records by their ids. Line items and histories are given by the ids of their records: "
        '`{"deals": [7], "deal_changes": [7], "notes": "all"}`. Meant for a single run.',
    )

    mask: dict[str, list[str] | dict[str, Literal["hash", "drop"]]] = Field(
        default_factory=dict,
        title="Masked columns",
        description="Columns, by stream, whose values never leave the tap, neither in rows nor in samples, "
        'rejected values and histories: `{"persons": ["name", "emails"], "deals": {"title": '
        '"drop"}}`.',
    )
    mask_method: Literal["hash", "drop"] = Field(
        "hash",
        title="Method of masking",
        description="What replaces the values of columns that `mask` lists without a method. `hash`: a keyed "
        "hash, which is the same for equal texts in all columns; `drop`: nothing.",
    )
    mask_key: str | None = _secret(
        "Key of hashes",
        "The secret key of the hashes: any text of at least 16 characters. If it changes, all hashes change.",
        min_length=16,
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Treat an empty value, such as a line `TAP_PIPEDRIVE_START_DATE=` in .env, as not set."""
        return {name: value for name, value in settings.items() if value not in (None, "")}

    @field_validator("api_token", "client_id", "client_secret", "refresh_token")
    @classmethod
    def _is_one_word(cls, secret: str | None) -> str | None:
        return secret and one_word(secret)

    @field_validator("refresh_token")
    @classmethod
    def _completes_the_credentials(cls, refresh_token: str | None, others: ValidationInfo) -> str | None:
        """Check at the last of the credentials that they are complete, so that all errors show at once."""
        given = {**others.data, "refresh_token": refresh_token}
        if not given.keys() >= {"api_token", *APP}:
            return refresh_token  # one of them is malformed, and has an error of its own
        missing = [name for name in APP if not given[name]]
        if given["api_token"] and len(missing) < len(APP):
            named = next(name for name in APP if given[name])
            raise PydanticCustomError(
                "credentials",
                f"Settings api_token and {named} exclude each other: set either api_token or the OAuth settings.",
            )
        if not given["api_token"] and len(missing) == len(APP):
            raise PydanticCustomError(
                "credentials",
                "Setting api_token is missing: set it, or TAP_PIPEDRIVE_API_TOKEN in .env; or, for an app, "
                "client_id, client_secret and refresh_token.",
            )
        if missing and not given["api_token"]:
            named = " and ".join(f"{name} (TAP_PIPEDRIVE_{name.upper()} in .env)" for name in missing)
            raise PydanticCustomError("credentials", f"An app also needs {named}: set what is missing.")
        return refresh_token

    @field_validator("api_url", "oauth_url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        return web_address(url)

    @field_validator("redis_url")
    @classmethod
    def _is_redis_address(cls, url: str | None) -> str | None:
        try:
            parts = urlsplit(url or "redis://localhost")
            is_address = bool(parts.hostname if parts.scheme in ("redis", "rediss") else parts.path) and (
                parts.port is None or parts.port > 0
            )
        except ValueError:
            is_address = False
        if not is_address or parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("is not an address like redis://localhost:6379")
        return url

    @field_validator("start_date", mode="before")
    @classmethod
    def _is_a_date(cls, moment: Any) -> Any:
        """Check the text of a date, as pydantic would take a bare number for seconds since 1970."""
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
        try:
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("is before the year 1 or after 9999 in UTC") from None

    @field_validator("reread", mode="before")
    @classmethod
    def _is_all_or_ids(cls, reread: Any) -> Any:
        for stream, chosen in reread.items() if isinstance(reread, dict) else ():
            is_list = isinstance(chosen, list) and all(isinstance(one, int | str) for one in chosen)
            if chosen != "all" and not is_list:
                raise ValueError(f'{stream} is neither "all" nor a list of ids such as [7]')
        return reread

    @field_validator("mask", mode="before")
    @classmethod
    def _is_columns_or_methods(cls, mask: Any) -> Any:
        for stream, rules in mask.items() if isinstance(mask, dict) else ():
            is_list = isinstance(rules, list) and all(isinstance(one, str) for one in rules)
            if not is_list and not (
                isinstance(rules, dict) and {HASH, DROP}.issuperset(map(str, rules.values()))
            ):
                raise ValueError(
                    f'{stream} is neither a list of columns such as ["name"] nor columns with their methods, '
                    'such as {"name": "hash", "phones": "drop"}'
                )
        return mask

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


def one_word(text: Any) -> str:
    """Return a token without blanks around it. Raises ValueError for a text that cannot be one."""
    if not isinstance(text, str) or not re.fullmatch(r"[!-~]+", text.strip()):
        raise ValueError("has blanks, or characters that no token has")
    return text.strip()


def web_address(url: Any) -> str:
    """Return a URL of scheme, host and maybe port, without a slash at its end. Raises ValueError for others."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except (ValueError, AttributeError, TypeError):
        host = ""
    plain = isinstance(url, str) and re.fullmatch(r"https?://[^/?#@\s]+/?", url)
    if not plain or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", host):
        raise ValueError("is not an address like https://yourcompany.pipedrive.com")
    return str(url).rstrip("/")


def config_schema() -> dict[str, Any]:
    """Return the settings as the JSON Schema that the Singer SDK and Meltano read."""
    schema = Settings.model_json_schema()
    for setting in schema["properties"].values():
        if "anyOf" in setting:  # an optional setting: Singer writes {"type": ["string", "null"]}
            kinds = [kind for kind in setting.pop("anyOf") if kind != {"type": "null"}]
            setting.update(kinds[0])
            setting["type"] = [setting["type"], "null"]
        if setting["type"] == "object":
            setting.setdefault("default", {})
    return {"type": "object", "properties": schema["properties"], "required": schema.get("required", [])}


def sentences(error: ValidationError) -> list[str]:
    """Return a validation error as one sentence per setting, without values, as one may be the token."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        setting = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "credentials":
            found.append(problem["msg"])
        elif problem["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            found.append(f"Setting {setting} is unknown: the settings are {known}.")
        else:
            found.append(f"Setting {setting}: {problem['msg'].removeprefix('Value error, ')}.")
    return found
