"""One class per entity: its properties as the API returns them, in the API's order.

Instants are `YYYY-MM-DDTHH:MM:SSZ` unless a class says otherwise. `custom_fields` has only values
that are set; the table that encodes a record adds a null for every other custom field.
"""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


class CustomFields:
    """Values of the custom fields that are set, by field key, in their v2 shapes.

    A class of its own, so that the encoder calls a hook of the table (see `Table.encode`).
    """

    __slots__ = ("values",)

    def __init__(self, values: Json | None = None) -> None:
        self.values: Json = {} if values is None else values


class Record(msgspec.Struct, kw_only=True):
    """Properties of every entity. `id` is an integer, or text for uuids."""

    id: Any


class Deal(Record, kw_only=True):
    """v2 `GET /deals`. `status` is open, won, lost or deleted."""

    title: str
    creator_user_id: int | None = None
    owner_id: int
    value: float = 0
    person_id: int | None = None
    org_id: int | None = None
    stage_id: int
    pipeline_id: int
    currency: str = "BRL"
    archive_time: str | None = None
    add_time: str
    update_time: str | None
    stage_change_time: str | None
    status: str = "open"
    is_archived: bool = False
    is_deleted: bool = False
    probability: float | None = None
    lost_reason: str | None = None
    visible_to: int = 3
    close_time: str | None = None
    won_time: str | None = None
    lost_time: str | None = None
    local_won_date: str | None = None
    local_lost_date: str | None = None
    local_close_date: str | None = None
    expected_close_date: str | None = None
    label_ids: list[int] = []
    origin: str = "ManuallyCreated"
    origin_id: str | None = None
    channel: int | None = None
    channel_id: str | None = None
    source_lead_id: str | None = None
    arr: float | None = None
    mrr: float | None = None
    acv: float | None = None
    custom_fields: Any = None


class Person(Record, kw_only=True):
    """v2 `GET /persons`."""

    name: str
    first_name: str | None = None
    last_name: str | None = None
    owner_id: int | None = None
    org_id: int | None = None
    add_time: str
    update_time: str | None
    emails: list[Json] = []
    phones: list[Json] = []
    is_deleted: bool = False
    visible_to: int = 3
    label_ids: list[int] = []
    picture_id: int | None = None
    postal_address: Json | None = None
    notes: str | None = None
    im: list[Json] = []
    birthday: str | None = None
    job_title: str | None = None
    custom_fields: Any = None


class Organization(Record, kw_only=True):
    """v2 `GET /organizations`."""

    name: str
    owner_id: int | None = None
    add_time: str
    update_time: str | None
    address: Json | None = None
    is_deleted: bool = False
    visible_to: int = 3
    label_ids: list[int] = []
    website: str | None = None
    linkedin: str | None = None
    industry: int | None = None
    annual_revenue: int | None = None
    employee_count: int | None = None
    custom_fields: Any = None


class Activity(Record, kw_only=True):
    """v2 `GET /activities`. `due_time` and `duration` are `HH:MM:SS`."""

    subject: str
    type: str
    owner_id: int | None = None
    creator_user_id: int | None = None
    is_deleted: bool = False
    add_time: str
    update_time: str | None
    deal_id: int | None = None
    lead_id: str | None = None
    person_id: int | None = None
    org_id: int | None = None
    project_id: int | None = None
    due_date: str | None = None
    due_time: str | None = None
    duration: str | None = None
    busy: bool = False
    done: bool = False
    marked_as_done_time: str | None = None
    location: Json | None = None
    participants: list[Json] = []
    conference_meeting_client: str | None = None
    conference_meeting_url: str | None = None
    conference_meeting_id: str | None = None
    public_description: str | None = None
    priority: int | None = None
    note: str | None = None


class Product(Record, kw_only=True):
    """v2 `GET /products`."""

    name: str
    code: str | None = None
    description: str | None = None
    unit: str = ""
    tax: float = 0
    category: str | None = None
    is_linkable: bool = True
    is_deleted: bool = False
    visible_to: int = 3
    owner_id: int | None = None
    add_time: str
    update_time: str | None
    billing_frequency: str = "one-time"
    billing_frequency_cycles: int | None = None
    prices: list[Json] = []
    custom_fields: Any = None


class DealProduct(Record, kw_only=True):
    """v2 `GET /deals/products`. `product_id` is null after the product is deleted."""

    sum: float
    tax: float = 0
    deal_id: int
    name: str
    product_id: int | None
    product_variation_id: int | None = None
    order_nr: int | None = None
    add_time: str
    update_time: str | None
    comments: str = ""
    currency: str = "BRL"
    discount: float = 0
    quantity: float = 1
    item_price: float
    tax_method: str = "inclusive"
    discount_type: str = "percentage"
    is_enabled: bool = True
    billing_frequency: str = "one-time"
    billing_frequency_cycles: int | None = None
    billing_start_date: str | None = None


class Installment(Record, kw_only=True):
    """v2 `GET /deals/installments`. `billing_date` is `YYYY-MM-DD`."""

    amount: float
    billing_date: str
    description: str
    deal_id: int


class Discount(Record, kw_only=True):
    """v2 `GET /deals/{id}/discounts`. `id` is a uuid; `type` is percentage or amount."""

    type: str
    amount: float
    description: str
    deal_id: int
    created_at: str
    created_by: int
    updated_at: str
    updated_by: int


class Follower(Record, kw_only=True):
    """v2 `GET /deals/{id}/followers`, which returns user and time only."""

    deal_id: int
    user_id: int
    add_time: str


class ProductVariation(Record, kw_only=True):
    """v2 `GET /products/{id}/variations`."""

    name: str
    product_id: int
    prices: list[Json] = []


class Pipeline(Record, kw_only=True):
    """v2 `GET /pipelines`. `update_time` is null until the first edit."""

    name: str
    order_nr: int
    is_deleted: bool = False
    is_deal_probability_enabled: bool = True
    add_time: str
    update_time: str | None = None


class Stage(Record, kw_only=True):
    """v2 `GET /stages`. `deal_probability` is a percentage; `update_time` as for pipelines."""

    order_nr: int
    name: str
    is_deleted: bool = False
    deal_probability: int = 100
    pipeline_id: int
    is_deal_rot_enabled: bool = False
    days_to_rotten: int | None = None
    add_time: str
    update_time: str | None = None
