# Over 400 lines: one function for each file that repeats the tap's facts, over the same facts.
"""Write what other files repeat of the tap's streams and settings: `make generate`.

It writes the definition for Meltano Hub, the dbt sources, the settings and the selection in `meltano.yml`, and the
tables after marks such as `<!-- streams -->` in `docs/` and in the tap's README. Where a stream has no staging
model, contract or catalog snapshot yet, it writes a draft, see `skeletons.py`.

`python tap-pipedrive/generate.py URL` prints the definition for Meltano Hub with the address of a repository.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from tap_pipedrive.checks import CHECKS, CheckListing
from tap_pipedrive.children import ChildListing
from tap_pipedrive.definitions import OptionListing
from tap_pipedrive.http_listing import HttpListing
from tap_pipedrive.listings import OffsetListing, WholeListing
from tap_pipedrive.settings import APP, Settings, config_schema
from tap_pipedrive.source import Listing
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream
from tap_pipedrive.tap import TapPipedrive

sys.path.insert(0, str(Path(__file__).parent))

from skeletons import contract, json_type, snapshot, staging_model, staging_yaml

ROOT = Path(__file__).resolve().parent.parent
HUB = ROOT / "tap-pipedrive/hub/tap-pipedrive.yml"
SOURCES = ROOT / "transform/models/staging/pipedrive/_pipedrive__sources.yml"
CONTRACT = ROOT / "tests/pipeline/contract.py"
BOUNDED, BOUNDS = (
    ROOT / "tap-pipedrive/tap_pipedrive/bounds.py",
    ROOT / "plugins/tap-hubspot/tap_hubspot/bounds.py",
)
GENERATED = "# Written by make generate, from bounds.py of tap-pipedrive.\n"
SNAPSHOTS = ROOT / "tests/tap/catalog"
LANGUAGES = {"en": ROOT / "docs", "pt": ROOT / "docs/pt-BR"}

WORDS = {
    "en": {
        "streams": ("stream", "endpoint", "key", "replication", "tokens per 500 rows"),
        "settings": ("setting", "default", "what it is"),
        "whole": "full table",
        "by age": "full table, by age",
        "a reading": "{} per reading",
        "incremental": "incremental",
        "of changed": "for changed `{}`",
        "as they occur": "as they occur",
        "comes with": "comes with `fields`",
        "rejected_values": "values that do not fit their column",
        "run_statements": "what each run has read",
        "a check": "120 in the first run of a day, see `source_checks`",
        "field_columns": "columns of custom fields in the tables of the run",
        "schema_changes": "changes of custom fields since the previous run",
        "a run": "{} per run",
        "each": "{} per list",
        "per rows": "{} per {} rows",
        "per parent": "{} per row of `{}`",
        "per parents": "{} per {} rows of `{}`",
    },
    "pt": {
        "streams": ("stream", "endpoint", "chave", "replicação", "tokens a cada 500 linhas"),
        "settings": ("configuração", "padrão", "o que é"),
        "whole": "tabela completa",
        "by age": "tabela completa, por idade",
        "a reading": "{} por leitura",
        "incremental": "incremental",
        "of changed": "de `{}` alterados",
        "as they occur": "conforme ocorrem",
        "comes with": "vem com `fields`",
        "rejected_values": "valores que não cabem na coluna",
        "run_statements": "o que cada execução leu",
        "a check": "120 na primeira execução do dia, veja `source_checks`",
        "field_columns": "colunas de campos personalizados nas tabelas da execução",
        "schema_changes": "mudanças nos campos personalizados desde a execução anterior",
        "a run": "{} por execução",
        "each": "{} por lista",
        "per rows": "{} a cada {} linhas",
        "per parent": "{} por linha de `{}`",
        "per parents": "{} a cada {} linhas de `{}`",
    },
}

COMPLETE_AS_OF = """\
            select case when coalesce(bool_or(stream = 'STREAM' and verdict != 'unavailable'), true)
            then max(greatest(complete_as_of, next_reading_due_at)) filter (where stream = 'STREAM')
            else now() end
            from {{ target.schema }}.load_completeness"""
"""How fresh the table of a stream is. One that is not read in each run is fresh until it is due; one that no run
was asked to read, or that the plan lacks, is never late."""

KINDS = {
    "string": "string",
    "integer": "integer",
    "number": "string",  # Meltano 4.4 cannot hand on a `decimal` from the environment: its JSON has none
    "boolean": "boolean",
    "object": "object",
    "array": "array",
}
"""Meltano's kind of a setting, by the type in JSON Schema."""

TYPES = {"integer": "bigint", "number": "numeric", "boolean": "boolean", "array": "jsonb", "object": "jsonb"}
"""The type of a column in Postgres, by the type in JSON Schema; text has three, see `data_type`."""


def name_of(stream: type[PipedriveStream]) -> str:
    """Return a stream's name, which the SDK declares for instances only."""
    return str(vars(stream)["name"])


def described(stream: type[PipedriveStream]) -> str:
    """Return what a stream's class says of it, on one line."""
    return " ".join((stream.__doc__ or "").split())


def data_type(schema: Mapping[str, Any]) -> str:
    """Return the type of a column in Postgres."""
    return TYPES.get(json_type(schema)) or {"date-time": "timestamp", "date": "date"}.get(
        schema.get("format", ""), "text"
    )


# Tables


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def code(words: Iterable[str]) -> str:
    """Return words between backticks."""
    return ", ".join(f"`{word}`" for word in words)


def request_of(listing: Listing) -> HttpListing:
    """Return the list of the API that a listing reads."""
    return cast("HttpListing", getattr(listing, "list_of", listing))


def how_read(stream: type[PipedriveStream], words: Mapping[str, Any]) -> str:
    """Return how a run reads a stream."""
    if stream.listings and isinstance(stream.listings[0], CheckListing):
        return str(words["as they occur"])
    parents = [each.parents for each in stream.listings if isinstance(each, ChildListing) and each.bookmark]
    if parents:
        return str(words["of changed"].format(parents[0].stream))
    if not stream.listings:
        return str(words["as they occur"])
    if isinstance(stream.replication_key, str):
        return str(words["incremental"])
    return str(words["by age" if stream.listings[0].is_reference else "whole"])


def price(listing: Listing, words: Mapping[str, Any]) -> str:
    """Return what a listing costs."""
    request = request_of(listing)
    if isinstance(listing, ChildListing):
        parent = listing.parents.stream
        if listing.batch > 1:
            return str(words["per parents"].format(request.price, listing.batch, parent))
        return str(words["per parent"].format(request.price, parent))
    if isinstance(request, WholeListing):
        return str(words["a reading" if request.is_reference else "a run"].format(request.price))
    if isinstance(request, OffsetListing) and request.limit:
        return str(words["per rows"].format(request.price, request.limit))
    return str(request.price)


def prices(stream: type[PipedriveStream], words: Mapping[str, Any]) -> str:
    """Return what a stream costs; where its listings differ, with their names."""
    if not stream.listings or isinstance(stream.listings[0], OptionListing):
        return "0"
    if isinstance(stream.listings[0], CheckListing):
        return str(words["a check"])
    found = {price(listing, words): listing.name for listing in reversed(stream.listings)}
    if len(found) == 1:
        requests = {request_of(listing).path for listing in stream.listings}
        shared = (
            len(stream.listings) > 1
            and len(requests) == 1
            and not isinstance(stream.listings[0], ChildListing)
        )
        number = request_of(stream.listings[0]).price
        return str(words["each"].format(number)) if shared else next(iter(found))
    return ", ".join(f"{name} {each}" for each, name in reversed(found.items()))


def endpoints(stream: type[PipedriveStream], words: Mapping[str, Any]) -> str:
    """Return the endpoints of a stream."""
    if not stream.listings:
        return str(words[name_of(stream)])
    if isinstance(stream.listings[0], OptionListing):
        return str(words["comes with"])
    return code(dict.fromkeys(request_of(listing).path for listing in stream.listings))


def streams_table(words: Mapping[str, Any], *, optional: bool) -> str:
    """Return the table of the streams that are on, or off, by default."""
    chosen = [stream for stream in STREAMS if stream.selected_by_default is not optional]
    rows = [
        (
            f"`{name_of(stream)}`",
            endpoints(stream, words),
            code(stream.primary_keys),
            how_read(stream, words),
            prices(stream, words),
        )
        for stream in chosen
    ]
    return table(words["streams"], rows)


def settings_table(words: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    """Return the table of settings; a setting that is not described in a language has the English description."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = field.get_default(call_default_factory=True)
        value = str(value).lower() if isinstance(value, bool) else value
        shown = "" if value in (None, {}) else f"`{value}`"
        rows.append((f"`{name}`", shown, descriptions.get(name) or str(field.description)))
    return table(words["settings"], rows)


def not_read(text: str) -> str:
    """Return the table of lists that are not read, without those that a stream reads."""
    read = {request_of(listing).path for stream in STREAMS for listing in stream.listings}
    kept = []
    for line in text.splitlines():
        cells = line.strip("|").split(" | ")
        paths = re.findall("`(/api/[^`]+)`", cells[0])
        left = [path for path in paths if path not in read]
        if left or not paths:
            kept.append(
                f"| {' | '.join([code(left), *(cell.strip() for cell in cells[1:])])} |" if paths else line
            )
    return "\n".join(kept)


def marked(text: str, mark: str) -> str:
    """Return what stands after a mark, to the next blank line. Raises KeyError where there is no such mark."""
    found = re.search(rf"<!-- {mark} -->\n(.*?)(?=\n\n|\n?\Z)", text, re.DOTALL)
    if not found:
        raise KeyError(mark)
    return found[1]


def replaced(path: Path, blocks: Mapping[str, str]) -> str:
    """Return a document with new text after its marks."""
    text = path.read_text()
    for mark, block in blocks.items():
        text = text.replace(f"<!-- {mark} -->\n{marked(text, mark)}", f"<!-- {mark} -->\n{block}")
    return text


def descriptions_in(text: str) -> dict[str, str]:
    """Return the descriptions in a table of settings, by setting."""
    rows = [line.strip("|").split(" | ") for line in marked(text, "settings").splitlines()[2:]]
    return {row[0].strip(" `"): row[2].strip() for row in rows}


# Meltano


def setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting as Meltano and its Hub describe it."""
    found: dict[str, Any] = {
        "name": name,
        "label": schema["title"],
        "description": schema["description"],
        "kind": KINDS[json_type(schema)],
    }
    if schema.get("format") == "date-time":
        found["kind"] = "date_iso8601"
    if "enum" in schema:
        found["kind"] = "options"
        found["options"] = [{"label": value.capitalize(), "value": value} for value in schema["enum"]]
    if schema.get("secret"):
        found["sensitive"] = True
    if schema.get("default") not in (None, {}):
        found["value"] = schema["default"]
    return found


def plugin(repository: str | None = None) -> dict[str, Any]:
    """Return the plugin as the Hub describes it; without a public repository it is installed from this one."""
    schema = config_schema()
    TapPipedrive.append_builtin_config(schema)
    source = {"repo": repository, "pip_url": f"git+{repository}.git#subdirectory=tap-pipedrive"}
    return {
        "name": TapPipedrive.name,
        "variant": "pipedrive-warehouse",
        "namespace": "tap_pipedrive",
        "label": "Pipedrive",
        "description": "Sales CRM: deals, leads, contacts, activities and their history",
        "domain_url": "https://developers.pipedrive.com/docs/api/v1",
        "logo_url": "/assets/logos/extractors/pipedrive.png",
        **(source if repository else {"pip_url": "./tap-pipedrive"}),
        "executable": TapPipedrive.name,
        "maintenance_status": "active",
        "keywords": ["api", "meltano_sdk"],
        "usage": "Add it from this file, which needs no account: "
        "`meltano add tap-pipedrive --from-ref tap-pipedrive/hub/tap-pipedrive.yml`.",
        "capabilities": sorted(each.value for each in TapPipedrive.capabilities),
        # Left alone, Meltano selects the costly streams too.
        "select": [f"{name_of(stream)}.*" for stream in STREAMS if stream.selected_by_default],
        "settings": [setting(name, each) for name, each in schema["properties"].items()],
        "settings_group_validation": [["api_token"], list(APP)],
    }


def hub(repository: str | None = None) -> str:
    """Return the definition for Meltano Hub."""
    return yaml.safe_dump(plugin(repository), sort_keys=False, allow_unicode=True, width=100)


def one_line(value: Any) -> str:
    """Return a value as YAML on one line."""
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000
    ).strip()


def project() -> str:
    """Return `meltano.yml` with the settings and the selection of the tap."""
    text, found = (ROOT / "meltano.yml").read_text(), plugin()
    lines = ["    settings:                  # these, and what is selected: make generate"]
    for each in found["settings"]:
        short = {
            key: each[key]
            for key in ("name", "kind", "value", "sensitive", "label", "options")
            if key in each
        }
        lines.append(f"    - {one_line(short)}")
    lines.append("    settings_group_validation:")
    lines += [f"    - {one_line(group)}" for group in found["settings_group_validation"]]
    lines.append("    select:                    # add one: `meltano select tap-pipedrive files '*'`")
    lines += [f"    - {name}" for name in found["select"]]
    start, end = text.index("    settings:"), text.index("\n\n  - name: tap-pipedrive-reconcile")
    return text[:start] + "\n".join(lines) + text[end:]


# dbt


def sources() -> str:
    """Return the dbt sources: the head of the file, and a table for each stream."""
    head, _, _ = SOURCES.read_text().partition("    tables:\n")
    lines = ["    tables:"]
    for stream in sorted(STREAMS, key=name_of):
        lines += [
            f"      - name: {name_of(stream)}",
            f"        description: {one_line(described(stream)).removesuffix('...').strip()}",
        ]
        is_judged = stream.listings and name_of(stream) not in CHECKS
        query = COMPLETE_AS_OF.replace("STREAM", name_of(stream))
        lines += (
            ["        config:", "          loaded_at_query: >-", query]
            if is_judged
            else ["        config: {freshness: null}"]
        )
        lines.append("        columns:")
        lines += [
            f"          - {{name: {column}, data_type: {data_type(schema)}}}"
            for column, schema in stream.entity.columns().items()
        ]
    return head + "\n".join(lines) + "\n"


def outputs() -> dict[Path, str]:
    """Return all files that are written, with their text."""
    found = {HUB: hub(), ROOT / "meltano.yml": project(), SOURCES: sources()}
    for language, folder in LANGUAGES.items():
        words, streams, settings = WORDS[language], folder / "streams.md", folder / "settings.md"
        kept = {} if language == "en" else descriptions_in(settings.read_text())
        found[settings] = replaced(settings, {"settings": settings_table(words, kept)})
        found[streams] = replaced(
            streams,
            {
                "streams": streams_table(words, optional=False),
                "optional streams": streams_table(words, optional=True),
                "not read": not_read(marked(streams.read_text(), "not read")),
            },
        )
    readme, words = ROOT / "tap-pipedrive/README.md", WORDS["en"]
    blocks = {
        "settings": settings_table(words, {}),
        "streams": streams_table(words, optional=False),
        "optional streams": streams_table(words, optional=True),
    }
    found[readme] = replaced(readme, blocks)
    found[CONTRACT] = contract(CONTRACT.read_text(), STREAMS)
    found[BOUNDS] = GENERATED + BOUNDED.read_text().replace("tap_pipedrive", "tap_hubspot")
    for stream in STREAMS:
        name = name_of(stream)
        for path, make in (
            (SOURCES.with_name(f"stg_pipedrive__{name}.sql"), staging_model),
            (SOURCES.with_name(f"stg_pipedrive__{name}.yml"), staging_yaml),
            (SNAPSHOTS / f"{name}.json", snapshot),
        ):
            if not path.exists():
                found[path] = make(stream)
    return found


def main() -> None:
    """Write the files that are not up to date, and name them."""
    if len(sys.argv) > 1:
        sys.stdout.write(hub(sys.argv[1]))
        return
    for path, text in outputs().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
