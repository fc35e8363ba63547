"""The types of an entity's fields: each cleans a value and describes its column.

Entities are pydantic models that are never instantiated: `rows.py` calls the cleaning functions directly.
"""

from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, PlainValidator, WithJsonSchema

from tap_pipedrive import values

Text = Annotated[str | None, PlainValidator(values.clean_text), WithJsonSchema(values.TEXT)]
Integer = Annotated[int | None, PlainValidator(values.clean_integer), WithJsonSchema(values.INTEGER)]
Number = Annotated[Decimal | int | None, PlainValidator(values.clean_number), WithJsonSchema(values.NUMBER)]
Boolean = Annotated[bool | None, PlainValidator(values.clean_boolean), WithJsonSchema(values.BOOLEAN)]
Timestamp = Annotated[
    datetime | None, PlainValidator(values.clean_timestamp), WithJsonSchema(values.TIMESTAMP)
]
Date = Annotated[date | None, PlainValidator(values.clean_date), WithJsonSchema(values.DATE)]
Time = Annotated[str | None, PlainValidator(values.clean_time), WithJsonSchema(values.TEXT)]
Duration = Annotated[str | None, PlainValidator(values.clean_duration), WithJsonSchema(values.TEXT)]
List = Annotated[list[Any] | None, PlainValidator(values.clean_list), WithJsonSchema(values.ARRAY)]
Object = Annotated[dict[str, Any] | None, PlainValidator(values.clean_object), WithJsonSchema(values.OBJECT)]
Id = Annotated[
    int, PlainValidator(values.required(values.clean_integer)), WithJsonSchema({"type": "integer"})
]
Key = Annotated[str, PlainValidator(values.required(values.clean_text)), WithJsonSchema({"type": "string"})]


@dataclass(frozen=True)
class Names:
    """Says of a column that it names rows of another stream, alone or as a list."""

    stream: str
    inside: str = ""
    """Key of the name, where the column is a list of objects."""


UserId = Annotated[Integer, Names("users")]
CurrencyCode = Annotated[Text, Names("currencies")]
ActivityKind = Annotated[Text, Names("activity_types")]
LeadId = Annotated[Text, Names("leads")]
LabelIds = Annotated[List, Names("lead_labels")]
Prices = Annotated[List, Names("currencies", inside="currency")]


class Entity(BaseModel):
    """A row of a table: the model's fields are its columns."""

    @classmethod
    def prepare(cls, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record of the API with the keys that its columns have, where the two differ."""
        return record

    @classmethod
    def columns(cls) -> dict[str, dict[str, Any]]:
        """Return the JSON Schema of each column, as a new copy."""
        return deepcopy(_columns(cls))


@cache
def _columns(entity: type[Entity]) -> dict[str, dict[str, Any]]:
    properties: dict[str, dict[str, Any]] = entity.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in schema.items() if key not in ("title", "default")}
        for name, schema in properties.items()
    }
