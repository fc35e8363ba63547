"""The product catalogue."""

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import Boolean, Entity, Id, Integer, Number, Prices, Text, Timestamp, UserId
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.parents import Parents
from tap_pipedrive.sync import OptionalStream, PipedriveStream


class Product(Entity):
    id: Id
    name: Text = None
    code: Text = None
    description: Text = None
    unit: Text = None
    tax: Number = Field(None, description="Percent")
    category: Text = None
    owner_id: UserId = None
    is_linkable: Boolean = None
    is_deleted: Boolean = None
    visible_to: Integer = None
    billing_frequency: Text = None
    billing_frequency_cycles: Integer = None
    prices: Prices = None
    add_time: Timestamp = None
    update_time: Timestamp = None


class Products(PipedriveStream):
    """Products of the catalogue."""

    name = "products"
    entity = Product
    replication_key = "update_time"
    custom_fields_of = "product"
    listings = [CursorListing("/api/v2/products", price=10, takes_ids=True)]


class ProductVariation(Entity):
    id: Id
    product_id: Integer = None
    name: Text = None
    prices: Prices = None


class ProductVariations(OptionalStream):
    """Variations of products."""

    name = "product_variations"
    entity = ProductVariation
    listings = [
        ChildListing(CursorListing("/api/v2/products/{id}/variations", price=10), Parents("products"))
    ]
