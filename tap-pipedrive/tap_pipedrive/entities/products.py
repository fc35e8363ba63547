"""The product catalogue."""

from pydantic import Field

from tap_pipedrive.entities.base import Boolean, Entity, Id, Integer, List, Number, Text, Timestamp


class Product(Entity):
    """A product of the catalogue (`GET /api/v2/products`)."""

    id: Id
    name: Text = None
    code: Text = None
    description: Text = None
    unit: Text = None
    tax: Number = Field(None, description="Percent")
    category: Text = None
    owner_id: Integer = None
    is_linkable: Boolean = None
    is_deleted: Boolean = None
    visible_to: Integer = None
    billing_frequency: Text = None
    billing_frequency_cycles: Integer = None
    prices: List = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class ProductVariation(Entity):
    """A variation of a product (`GET /api/v2/products/{id}/variations`)."""

    id: Id
    product_id: Integer = None
    name: Text = None
    prices: List = None
