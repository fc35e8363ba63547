"""Schema `compat`: the tables of older systems, with the columns that can be provided."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from .conftest import Account, Built

ADDRESS = (
    "formatted_address street_number route sublocality subpremise locality aal1 aal2 country postal_code"
)
TABLES = {
    "usuarios": """id name email lang locale timezone_name timezone_offset is_admin role_id phone last_login
        created modified icon_url default_currency has_created_company is_deleted is_you active_flag activated
        access""",
    "pipelines": "id name order_nr add_time update_time active deal_probability",
    "etapas_funil": """id name pipeline_id order_nr deal_probability rotten_flag add_time update_time
        pipeline_name""",
    "organizacoes": f"""id owner_id name visible_to label_ids add_time update_time owner_name
        {" ".join(f"endereco_principal_{part}" for part in ADDRESS.split())}""",
    "pessoas": f"""id owner_id name first_name last_name add_time update_time visible_to birthday job_title
        label_ids picture_id org_id owner_name org_name
        email_contatos_list email_contatos_primary_value email_contatos_primary_label
        telefone_contatos_list telefone_contatos_primary_value telefone_contatos_primary_label
        {" ".join(f"endereco_contato_{part}" for part in ADDRESS.split())}""",
    "negocios": """id title creator_user_id status value currency add_time update_time close_time
        expected_close_date user_id pipeline_id stage_id person_id org_id label_ids lost_reason won_time
        lost_time stage_change_time owner_name creator_user_name person_name stage_name pipeline_name""",
    "atividades": """id user_id done type subject due_date due_time duration add_time update_time
        marked_as_done_time deal_id person_id org_id project_id note location location_formatted_address
        public_description conference_meeting_client conference_meeting_url conference_meeting_id
        created_by_user_id assigned_to_user_id participants attendees busy_flag
        user_name person_name org_name created_by_user_name assigned_to_user_name""",
    "atividade_tipos": """id name key_string icon_key active_flag color is_custom_flag order_nr add_time
        update_time""",
    "leads": """id title owner_id person_id organization_id label_ids value expected_close_date is_archived
        add_time update_time owner_name person_name organization_name""",
    "negocios_etapas_historico": "deal_id stage_id change_time user_id",
    "main_bi": """deal_id title status value currency add_time update_time close_time expected_close_date
        lost_time won_time stage_change_time creator_user_id user_id pipeline_id stage_id label_ids contact_name
        contact_email contact_phone company_name activity_count last_activity_due_date deal_duration_days
        value_per_day""",
    "pipedrive_data": """id titulo creator_user_id creator_user_name person_id person_name stage_id stage_name
        pipeline_id pipeline_name owner_id owner_name status value currency add_time update_time org_id org_name
        lost_reason visible_to close_time won_time lost_time first_won_time expected_close_date probability
        label""",
    "pipedrive_users": "user_id user_name is_active last_synced_at",
    "pipedrive_persons": "person_id person_name org_id last_synced_at",
    "pipedrive_stages": "stage_id stage_name normalized_name pipeline_id order_nr is_active last_synced_at",
    "pipedrive_pipelines": "pipeline_id pipeline_name is_active last_synced_at",
    "pipedrive_organizations": "org_id org_name last_synced_at",
    "stg_contacts": "contact_id first_name last_name email created_at last_modified_at lifecycle_stage",
    "stg_companies": "company_id company_name domain especialidade_medica created_at last_modified_at",
    "stg_deals": """deal_id company_domain contact_email deal_name deal_stage pipeline amount created_at
        closed_at last_modified_at""",
    "mart_companies": """company_id company_name domain especialidade_medica total_deals total_won_deals
        total_revenue average_deal_value""",
}
CREATED, MOVED = "2026-01-05 12:00", "2026-01-08 12:00"


def at(text: str) -> datetime:
    """Parse a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def account(new_account: Callable[..., Account]) -> Account:
    account = new_account("compat", {"orçamento": "numeric", "módulos": "jsonb", "titulo": "text"})
    account.insert("users", {"id": 1, "name": "Ana"}, {"id": 2, "name": "Bo"})
    account.insert("pipelines", {"id": 1, "name": "Sales"}, {"id": 2, "name": "Old", "is_deleted": True})
    account.insert(
        "stages",
        {"id": 1, "name": "Qualificação #1", "pipeline_id": 1, "order_nr": 1},
        {"id": 2, "name": "Demo", "pipeline_id": 1, "order_nr": 2},
        {"id": 3, "name": "Gone", "pipeline_id": 1, "is_deleted": True},
    )
    account.insert(
        "organizations", {"id": 1, "name": "Ação", "address": {"value": "Rua A, 1", "locality": "Rio"}}
    )
    account.insert(
        "persons",
        {
            "id": 1,
            "name": "Zoé",
            "org_id": 1,
            "emails": [
                {"value": "old@x.br", "label": "home", "primary": False},
                {"value": "zoe@x.br", "label": "work", "primary": True},
            ],
            "phones": [{"value": "1", "label": "work", "primary": False}],
        },
        {"id": 2, "name": "Gone", "is_deleted": True},
    )
    deal = {"creator_user_id": 2, "owner_id": 1, "pipeline_id": 1, "stage_id": 2, "add_time": CREATED}
    account.insert(
        "deals",
        {
            **deal,
            "id": 1,
            "title": "Big",
            "status": "won",
            "value": Decimal("10.5"),
            "currency": "BRL",
            "person_id": 1,
            "org_id": 1,
            "label_ids": [2, 3],
            "orçamento": Decimal("1.25"),
            "módulos": ["A"],
            "titulo": "custom",
        },
        {**deal, "id": 2, "status": "open", "owner_id": 404},
        {**deal, "id": 3, "status": "lost", "is_archived": True},
        {**deal, "id": 4, "status": "deleted", "is_deleted": True},
    )
    account.insert(
        "deal_changes",
        {
            **{"change_id": "a", "deal_id": 1, "field_key": "stage_id", "time": MOVED, "actor_user_id": 1},
            **{"old_value": "1", "new_value": "2"},
        },
    )
    account.insert("activities", {"id": 1, "owner_id": 1, "type": "call", "deal_id": 1, "done": True})
    run = account.dbt(
        *("build", "--warn-error", "--select", "+path:models/compat"),
        *("--resource-type", "seed", "--resource-type", "model"),
        COMPAT="true",
    )
    assert run.returncode == 0, run.stdout
    return account


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_the_documented_columns(account: Account, table: str) -> None:
    assert set(TABLES[table].split()) <= set(account.columns("compat", table))
    account.query(f"select {', '.join(TABLES[table].split())} from compat.{table}")


def test_there_is_no_undocumented_table(account: Account) -> None:
    found = account.query("select table_name from information_schema.tables where table_schema = 'compat'")
    assert {name for (name,) in found} == set(TABLES)


def test_every_table_documents_its_grain_and_missing_columns(account: Account) -> None:
    models = [node for node in account.manifest()["nodes"].values() if node.get("schema") == "compat"]
    described = {node["alias"]: node["description"] for node in models if node["resource_type"] == "model"}
    assert set(described) == set(TABLES)
    assert all(text.startswith("One row per ") for text in described.values())
    assert "etl_sync_state" in described["negocios"]


def test_the_schema_is_built_only_if_it_is_switched_on(empty: Built) -> None:
    assert not [node for node in empty.account.manifest()["nodes"].values() if node.get("schema") == "compat"]


def test_deals_equal_those_of_the_older_system(account: Account) -> None:
    assert account.query(
        "select id, title, status, value, user_id, owner_name, creator_user_name, person_name from compat.negocios"
        " order by id"
    ) == [
        (1, "Big", "won", Decimal("10.5"), 1, "Ana", "Bo", "Zoé"),
        (2, None, "open", None, 404, None, "Bo", None),
        (3, None, "lost", None, 1, "Ana", "Bo", None),
    ]


def test_the_wide_table_has_portuguese_column_names(account: Account) -> None:
    assert account.query(
        "select id, titulo, status, value, currency, owner_name, person_name, label from compat.pipedrive_data"
        " order by id"
    ) == [
        ("1", "Big", "Ganho", Decimal("10.5"), "BRL", "Ana", "Zoé", "2,3"),
        ("2", None, "Em aberto", 0, "USD", "Desconhecido", "Desconhecido", None),
        ("3", None, "Perdido", 0, "USD", "Ana", "Desconhecido", None),
        ("4", None, "Deletado", 0, "USD", "Ana", "Desconhecido", None),
    ]


def test_the_wide_table_has_custom_fields_as_text_and_stages_as_times(account: Account) -> None:
    columns = '"orçamento", "módulos", custom_titulo, moved_to_stage_qualificacao_1_1, moved_to_stage_demo_2'
    assert account.query(f"select {columns} from compat.pipedrive_data where id = '1'") == [
        ("1.25", '["A"]', "custom", at(CREATED), at(MOVED))
    ]


def test_the_stage_history_starts_with_the_creation_of_the_deal(account: Account) -> None:
    assert account.query(
        "select stage_id, change_time, user_id from compat.negocios_etapas_historico where deal_id = 1 order by 2"
    ) == [(1, at(CREATED), 2), (2, at(MOVED), 1)]


def test_names_and_addresses_of_persons_and_organizations_are_split(account: Account) -> None:
    assert account.query(
        "select id, email_contatos_primary_value, email_contatos_primary_label, telefone_contatos_primary_value,"
        " org_name from compat.pessoas"
    ) == [(1, "zoe@x.br", "work", "1", "Ação")]
    assert account.query(
        "select endereco_principal_formatted_address, endereco_principal_locality from compat.organizacoes"
    ) == [("Rua A, 1", "Rio")]


def test_deleted_records_are_flagged_in_lookups(account: Account) -> None:
    assert account.query(
        "select stage_id, normalized_name, is_active from compat.pipedrive_stages order by 1"
    ) == [
        (1, "qualificacao_1", True),
        (2, "demo", True),
        (3, "gone", False),
    ]
    assert account.query("select id, active from compat.pipelines order by 1") == [(1, True), (2, False)]
    assert account.query("select id from compat.etapas_funil order by 1") == [(1,), (2,)]
    assert account.query("select person_id, org_id from compat.pipedrive_persons") == [(1, 1)]
