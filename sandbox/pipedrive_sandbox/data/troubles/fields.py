"""Troubles with custom fields: their names, and deleted options."""

from random import Random

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.setup.custom_fields import Spec, add_custom_field
from pipedrive_sandbox.data.troubles.spoiling import Spoilt, custom_field, ids_of, spoil

_SHARED_START = "Quantidade de unidades consumidoras previstas no contrato de fornecimento firmado em"


def _added(draft: Draft, **specs: tuple[Spec, ...]) -> dict[str, list[str]]:
    return {
        entity: [add_custom_field(draft, entity, spec) for spec in some] for entity, some in specs.items()
    }


def equal_field_names(draft: Draft, rng: Random) -> Spoilt:
    """Two custom fields of one name, even of different types."""
    added = _added(
        draft,
        deal=(
            Spec("Concorrente", "varchar", 0.4, ("Pipefy", "Zoho", "Bitrix")),
            Spec("Data de renovação", "date", 0.3, (200, 500)),
        ),
        organization=(Spec("Porte", "varchar", 0.5, ("P", "M", "G")),),
    )
    namesakes = {"deal": ("Concorrente", "Data de renovação"), "organization": ("Porte",)}
    return {
        "fields": {
            entity: [custom_field(draft, entity, name)["field_code"] for name in names] + added[entity]
            for entity, names in namesakes.items()
        }
    }


def builtin_field_names(draft: Draft, rng: Random) -> Spoilt:
    """Custom fields that are called like built-in ones."""
    return {
        "fields": _added(
            draft,
            deal=(
                Spec("Status", "enum", 0.6, ("Aguardando", "Em análise", "Aprovado")),
                Spec("Value", "double", 0.5, (0, 1000, 2)),
                Spec("Title", "varchar", 0.5, ("Sr.", "Sra.", "Dr.", "Dra.")),
                Spec("Owner ID", "user", 0.5),
                Spec("id", "varchar", 0.5, ("EXT-######",)),
            ),
            person=(Spec("Name", "varchar", 0.4, ("Apelido", "Nickname")),),
            organization=(Spec("Address", "address", 0.3),),
        )
    }


def long_field_names(draft: Draft, rng: Random) -> Spoilt:
    """100-character names with the same first 63 bytes, and names without a single plain letter."""
    return {
        "fields": _added(
            draft,
            deal=(
                Spec(f"{_SHARED_START} 2025 (kWh)".ljust(100, "."), "double", 0.4, (1, 900, 1)),
                Spec(f"{_SHARED_START} 2026 (kWh)".ljust(100, "."), "double", 0.4, (1, 900, 1)),
                Spec(f"{_SHARED_START} observação".ljust(100, "!"), "address", 0.2),
                Spec("ç" * 70, "varchar", 0.3, ("cedilha",)),
                Spec("🚀🔥", "varchar", 0.3, ("sim", "não")),
                Spec("日本語", "varchar", 0.3, ("東京", "大阪")),
                Spec("%", "double", 0.3, (0, 100, 1)),
            ),
            person=(Spec("❤️", "enum", 0.3, ("💚", "💔")),),
        )
    }


def deleted_options(draft: Draft, rng: Random) -> Spoilt:
    """Values that point at an option which the field no longer has."""
    spoilt: dict[str, list[Record]] = {"deals": [], "organizations": []}
    fields: dict[str, list[str]] = {"deal": [], "organization": []}
    gone: dict[str, int] = {}
    for entity, name, where in (
        ("deal", "Plano", "deals"),
        ("deal", "Integrações", "deals"),
        ("organization", "Porte", "organizations"),
    ):
        definition = custom_field(draft, entity, name)
        key, option = definition["field_code"], draft.next_option_id()
        gone[key] = option
        fields[entity].append(key)
        rows = spoil(draft, rng, where, key, 0.01)
        for row in rows:
            kept = definition["options"][0]["id"]
            row["custom_fields"][key] = [kept, option] if definition["field_type"] == "set" else option
        spoilt[where] += rows
    return {**ids_of(**spoilt), "fields": fields, "options": gone}
