"""Writes an account as files for HubSpot's importer, whose columns have the names of properties.

https://knowledge.hubspot.com/crm-setup/set-up-your-import-file
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from pipedrive_sandbox.hubspot.definitions import PIPELINES, STAGES
from pipedrive_sandbox.hubspot.portal import Portal

COLUMNS = {
    "companies": ("name", "domain", "especialidade_medica", "phone", "city"),
    "contacts": ("firstname", "lastname", "email", "phone", "city", "lifecyclestage"),
    "deals": (
        "dealname",
        "amount",
        "pipeline",
        "dealstage",
        "contact_email",
        "company_domain",
        "closedate",
        "deal_currency_code",
    ),
}
"""Columns by object, in the order in which the files have to be imported."""

LABELS = {
    "pipeline": {pipeline.id: pipeline.label for pipeline in PIPELINES},
    "dealstage": {id_: stage.label for id_, stage in STAGES.items()},
}
"""Properties that the importer uses instead of ids."""


def write_csv_files(portal: Portal, folder: Path) -> Iterator[tuple[Path, int]]:
    """Write `import_<object>.csv` files, and yield each with its number of rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, columns in COLUMNS.items():
        path = folder / f"import_{kind}.csv"
        records = portal.listed(kind)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for record in records:
                texts = [(name, portal.text(kind, record, name) or "") for name in columns]
                writer.writerow([LABELS.get(name, {}).get(text, text) for name, text in texts])
        yield path, len(records)
