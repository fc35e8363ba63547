"""Files of deals, contacts, leads, products and activities, and comments on notes."""

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.setup.reference import COMPANY_DOMAIN, seeded_uuid

_FILES_PER_DEAL = 0.3
_OWNERS = {
    "deals": 0.6,
    "persons": 0.1,
    "organizations": 0.12,
    "leads": 0.05,
    "activities": 0.08,
    "products": 0.05,
}
_KEYS = {
    "deals": "deal_id",
    "persons": "person_id",
    "organizations": "org_id",
    "leads": "lead_id",
    "activities": "activity_id",
    "products": "product_id",
}
_NAMES = (
    ("Proposta comercial {}.pdf", "pdf"),
    ("Contrato assinado {}.pdf", "pdf"),
    ("Apresentação {}.pptx", "ppt"),
    ("Orçamento nº {}.xlsx", "xls"),
    ("IMG_{}.jpg", "img"),
    ("Ata da reunião {} – versão final (2).docx", "doc"),
    ("arquivo sem extensão {}", ""),
)


def files(draft: Draft) -> list[Record]:
    """GET /v1/files, without the names of the records that a file belongs to."""
    rng, season, records = draft.rng("files"), draft.season, draft.records
    staff = [user["id"] for user in records["users"] if user["active_flag"]]
    rows: list[Record] = []
    for _ in range(max(12, int(draft.deals * _FILES_PER_DEAL))):
        entity = weighted(rng, _OWNERS)
        owner = pick(rng, records[entity])
        links = {key: owner["id"] if name == entity else None for name, key in _KEYS.items()}
        if entity == "deals":
            links |= {"person_id": owner["person_id"], "org_id": owner["org_id"]}
        born = season.edited(rng, owner["add_time"], 60, 0.95)
        pattern, kind = pick(rng, _NAMES)
        name = pattern.format(1 + int(rng.random() * 9_000))
        remote = rng.random() < 0.1
        rows.append(
            {
                "id": 0,
                "user_id": pick(rng, staff),
                **links,
                "project_id": None,
                "log_id": None,
                "add_time": born,
                "update_time": season.edited(rng, born, 30, 0.15),
                "file_name": f"{name.rsplit('.', 1)[0]}_{rng.getrandbits(64):016x}",
                "file_type": kind,
                "file_size": 0 if rng.random() < 0.02 else int(10 ** (3 + rng.random() * 4)),
                "active_flag": True,
                "inline_flag": kind == "img" and rng.random() < 0.2,
                "remote_location": "googledocs" if remote else "s3",
                "remote_id": f"{rng.getrandbits(80):020x}" if remote else "",
                "cid": "",
                "s3_bucket": "",
                "mail_message_id": "",
                "mail_template_id": "",
                "name": name,
                "description": "Enviado pelo cliente" if rng.random() < 0.1 else "",
            }
        )
    rows.sort(key=lambda row: (row["add_time"], row["file_name"]))
    for number, row in enumerate(rows, 1):
        row["id"] = number
        row["url"] = f"https://{COMPANY_DOMAIN}.pipedrive.com/v1/files/{number}/download"
    return rows


_COMMENTS = ("Combinado!", "<p>Pode confirmar com o jurídico?</p>", "Done ✅", "@equipe vejam isto", "ok")


def comments(draft: Draft) -> list[Record]:
    """GET /v1/notes/{id}/comments: a few notes have comments."""
    rng, season = draft.rng("comments"), draft.season
    staff = [user["id"] for user in draft.records["users"] if user["active_flag"]]
    notes = draft.records["notes"]
    rows: list[Record] = []
    for note in rng.sample(notes, max(2, len(notes) // 20)):
        for _ in range(1 + int(rng.random() ** 2 * 4)):
            born, user = season.edited(rng, note["add_time"], 20, 1.0), pick(rng, staff)
            rows.append(
                {
                    "id": seeded_uuid(rng),
                    "active_flag": True,
                    "add_time": born,
                    "update_time": season.edited(rng, born, 5, 0.2),
                    "content": pick(rng, _COMMENTS),
                    "note_id": note["id"],
                    "user_id": user,
                    "updater_id": user,
                }
            )
    return rows
