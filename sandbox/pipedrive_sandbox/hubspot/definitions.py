"""Definitions of an account: properties of its objects, pipelines with their stages, and owners."""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]


class Property(NamedTuple):
    """A property of an object: HubSpot's name, the label, and the type of its values."""

    name: str
    label: str
    type: str = "string"
    is_custom: bool = False

    def shown(self) -> Json:
        """Return the definition as `/crm/v3/properties/{object}` has it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": FIELD_TYPES[self.type],
            "groupName": "custom" if self.is_custom else "information",
            "description": "",
            "options": [],
            "calculated": False,
            "hidden": False,
            "hubspotDefined": not self.is_custom,
        }


FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}

SOURCE = Property("hs_analytics_source", "Fonte original", "enumeration")
OBJECT_ID = Property("hs_object_id", "ID do registro", "number")
CREATED = Property("createdate", "Data de criação", "datetime")
MODIFIED = Property("hs_lastmodifieddate", "Data da última modificação", "datetime")
MERGED = Property("hs_merged_object_ids", "IDs de registros mesclados", "enumeration")
OWNER = Property("hubspot_owner_id", "Proprietário", "enumeration")
LONG = Property(
    "hs_time_to_move_from_marketingqualifiedlead_to_customer", "Tempo de lead a cliente", "number"
)
"""A standard property whose name is too long for a column's name with a prefix."""

PROPERTIES: dict[str, tuple[Property, ...]] = {
    "companies": (
        Property("name", "Nome"),
        Property("domain", "Nome de domínio"),
        Property("website", "Site"),
        Property("phone", "Telefone"),
        Property("city", "Cidade"),
        Property("lifecyclestage", "Estágio do ciclo de vida", "enumeration"),
        Property("especialidade_medica", "Especialidade médica", "enumeration", is_custom=True),
        SOURCE,
        OWNER,
        MERGED,
        OBJECT_ID,
        CREATED,
        MODIFIED,
    ),
    "contacts": (
        Property("firstname", "Nome"),
        Property("lastname", "Sobrenome"),
        Property("email", "E-mail"),
        Property("phone", "Telefone"),
        Property("city", "Cidade"),
        Property("lifecyclestage", "Estágio do ciclo de vida", "enumeration"),
        SOURCE,
        LONG,
        OWNER,
        MERGED,
        OBJECT_ID,
        CREATED,
        Property("lastmodifieddate", "Data da última modificação", "datetime"),
    ),
    "deals": (
        Property("dealname", "Nome do negócio"),
        Property("amount", "Valor", "number"),
        Property("amount_in_home_currency", "Valor na moeda da empresa", "number"),
        Property("deal_currency_code", "Moeda", "enumeration"),
        Property("closedate", "Data de fechamento", "datetime"),
        Property("pipeline", "Pipeline", "enumeration"),
        Property("dealstage", "Etapa do negócio", "enumeration"),
        Property("hs_is_closed", "Está fechado", "bool"),
        Property("hs_is_closed_won", "Está fechado e ganho", "bool"),
        Property("company_domain", "Domínio da empresa", is_custom=True),
        Property("contact_email", "E-mail do contato", is_custom=True),
        SOURCE,
        OWNER,
        MERGED,
        OBJECT_ID,
        CREATED,
        MODIFIED,
    ),
}
"""Properties by object."""


def properties_of(kind: str, count: int) -> tuple[Property, ...]:
    """Return the properties of an object, as many as in an account of some years: those above, and invented
    ones.
    """
    own = PROPERTIES[kind]
    more = (
        Property(f"{MADE_UP}{i:04d}", f"Indicador {i}", "string", is_custom=True)
        for i in range(1, count - len(own) + 1)
    )
    return (*own, *more)


MADE_UP = "indicador_de_acompanhamento_"

MODIFIED_BY = {"companies": MODIFIED.name, "contacts": "lastmodifieddate", "deals": MODIFIED.name}
"""The property with the time of the last change, by object."""


class Stage(NamedTuple):
    """A stage of a pipeline; a probability of 1 or 0 closes a deal as won or lost."""

    id: str
    label: str
    probability: float

    @property
    def is_won(self) -> bool:
        """Return whether deals in this stage are won."""
        return self.probability == 1

    @property
    def is_closed(self) -> bool:
        """Return whether deals in this stage are won or lost."""
        return self.probability in (0, 1)


class Pipeline(NamedTuple):
    """A pipeline of deals."""

    id: str
    label: str
    stages: tuple[Stage, ...]

    def shown(self, position: int) -> Json:
        """Return the pipeline as `/crm/v3/pipelines/deals` has it."""
        return {
            "id": self.id,
            "label": self.label,
            "displayOrder": position,
            "archived": False,
            **MADE,
            "stages": [
                {
                    "id": stage.id,
                    "label": stage.label,
                    "displayOrder": i,
                    "archived": False,
                    **MADE,
                    "metadata": {
                        "isClosed": str(stage.is_closed).lower(),
                        "probability": str(float(stage.probability)),
                    },
                    "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                }
                for i, stage in enumerate(self.stages)
            ],
        }


MADE = {"createdAt": "2023-01-02T12:00:00.000Z", "updatedAt": "2023-01-02T12:00:00.000Z"}
"""The time at which pipelines, stages and owners were created."""


SALES = Pipeline(
    "default",
    "Pipeline de vendas",
    (
        Stage("appointmentscheduled", "Compromisso agendado", 0.2),
        Stage("qualifiedtobuy", "Qualificado para comprar", 0.4),
        Stage("presentationscheduled", "Apresentação agendada", 0.6),
        Stage("decisionmakerboughtin", "Tomador de decisão envolvido", 0.8),
        Stage("contractsent", "Contrato enviado", 0.9),
        Stage("closedwon", "Negócio fechado", 1),
        Stage("closedlost", "Negócio perdido", 0),
    ),
)
RETURNS = Pipeline(
    "75312468",
    "Retornos",
    (
        Stage("1047101", "Retorno agendado", 0.5),
        Stage("1047102", "Retorno realizado", 1),
        Stage("1047103", "Retorno cancelado", 0),
    ),
)
PIPELINES = (SALES, RETURNS)
STAGES = {stage.id: stage for pipeline in PIPELINES for stage in pipeline.stages}


class Owner(NamedTuple):
    """A user who owns records; the owner's id differs from the user's."""

    id: str
    first_name: str
    last_name: str
    is_archived: bool = False

    def shown(self) -> Json:
        """Return the owner as `/crm/v3/owners` has it."""
        return {
            "id": self.id,
            "email": f"{self.first_name}.{self.last_name}@clinica.med.br".lower(),
            "type": "PERSON",
            "firstName": self.first_name,
            "lastName": self.last_name,
            "userId": int(self.id) - 70_000_000,
            "archived": self.is_archived,
            **MADE,
        }


OWNERS = (
    Owner("76000101", "Ana", "Lima"),
    Owner("76000102", "Bruno", "Costa"),
    Owner("76000103", "Carla", "Dias"),
    Owner("76000104", "Davi", "Melo", is_archived=True),
)
