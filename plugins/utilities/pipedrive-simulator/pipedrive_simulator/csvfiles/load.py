"""Builds an account from four CSV files: accounts, products, sales_pipeline, sales_teams.

Rules:

* A row of `sales_pipeline.csv` is a deal, in file order, ids from 1. There is one pipeline with the
  stages Prospecting and Engaging; won and lost deals closed in Engaging.
* `engage_date` is the deal's add time and `close_date` its close time, both at noon UTC, so that
  they are in the same quarter in every time zone. Prospecting rows have no date: they are spread
  evenly over the 30 days before the last date of the file.
* `close_value` is the value, in USD. Rows without one (still open) have the product's list price.
* The history of a deal has only facts of the file: created in its stage, then one change at
  closing (status, and the value if it differs from the list price), and no stage changes.
* Organizations are the accounts; there are no persons and no activities, because the files have
  none. Each deal has one product line; lines of lost deals are disabled.
* The account's current time is noon of the day after the last date, unless a setting gives another.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.fields import FieldDefinition
from pipedrive_simulator.account.records import (
    CustomFields,
    DealProduct,
    Organization,
    Pipeline,
    Product,
    Stage,
)
from pipedrive_simulator.account.records_v1 import ActivityType, Currency, User
from pipedrive_simulator.clock import naive, plus_days, to_seconds

FILES = ("accounts", "products", "sales_pipeline", "sales_teams")
PROSPECTING, ENGAGING = 1, 2
CURRENCY = "USD"
_PROSPECTING_DAYS = 30

Rows = list[dict[str, str]]


class CsvError(ValueError):
    """The folder does not contain files of the expected shape."""


def read_files(folder: Path) -> dict[str, Rows]:
    """Read the four files as rows of text, by name without ending."""
    tables: dict[str, Rows] = {}
    for name in FILES:
        path = folder / f"{name}.csv"
        if not path.is_file():
            msg = f"{path} is missing; expected {', '.join(f'{f}.csv' for f in FILES)}"
            raise CsvError(msg)
        with path.open(newline="", encoding="utf-8-sig") as file:
            tables[name] = list(csv.DictReader(file))
    return tables


def last_date(tables: dict[str, Rows]) -> str:
    """Return the latest date in the pipeline, as an instant at noon."""
    dates = [
        row[name] for row in tables["sales_pipeline"] for name in ("engage_date", "close_date")
    ]
    return noon(max((d for d in dates if d), default="2018-01-01"))


def noon(day: str) -> str:
    """Turn `YYYY-MM-DD` into the instant at noon UTC of that day."""
    return f"{day}T12:00:00Z"


def load_csv(account: Account, tables: dict[str, Rows]) -> None:
    """Fill an empty account from the rows of the four files."""
    account.mutation_depth += 1
    loader = _Loader(account, tables)
    loader.definitions()
    loader.users()
    loader.organizations()
    loader.products()
    loader.deals()
    account.mutation_depth -= 1


class _Loader:
    def __init__(self, account: Account, tables: dict[str, Rows]) -> None:
        self.account, self.tables = account, tables
        self.end = last_date(tables)
        engaged = [r["engage_date"] for r in tables["sales_pipeline"] if r["engage_date"]]
        # All records except deals were created a day before the first deal.
        self.opened = plus_days(noon(min(engaged, default=self.end[:10])), -1)
        self.user_ids: dict[str, int] = {}
        self.org_ids: dict[str, int] = {}
        self.products_by_name: dict[str, Product] = {}

    def definitions(self) -> None:
        account = self.account
        account.pipelines.put(Pipeline(id=1, name="Sales", order_nr=1, add_time=self.opened))
        for number, name in ((PROSPECTING, "Prospecting"), (ENGAGING, "Engaging")):
            account.stages.put(
                Stage(
                    id=number, name=name, pipeline_id=1, order_nr=number,
                    deal_probability=20 * number, add_time=self.opened,
                )
            )  # fmt: skip
        account.currencies.put(Currency(id=1, code=CURRENCY, name="US Dollar", symbol="$"))
        account.activity_types.put(
            ActivityType(
                id=1, name="Call", key_string="call", icon_key="call", order_nr=1,
                add_time=self.opened, update_time=self.opened,
            )
        )  # fmt: skip

    def users(self) -> None:
        for number, row in enumerate(self.tables["sales_teams"], 1):
            name = row["sales_agent"]
            self.user_ids[name] = number
            self.account.users.put(
                User(
                    id=number, name=name, email=f"{'.'.join(name.lower().split())}@example.com",
                    default_currency=CURRENCY, locale="en_US", lang=1, created=naive(self.opened),
                    timezone_name="Etc/UTC", timezone_offset="+00:00",
                    last_login=naive(self.end), is_you=number == 1, has_created_company=number == 1,
                    access=[{"app": "sales", "admin": number == 1, "permission_set_id": "1"}],
                )
            )  # fmt: skip

    def organizations(self) -> None:
        rows = self.tables["accounts"]
        sector = self._enum("organization", "Sector", rows, "sector")
        fields = self.account.fields["organization"]
        founded = fields.add("Year established", "double")
        revenue = fields.add("Revenue (million USD)", "double")
        parent = fields.add("Subsidiary of", "org")
        self.org_ids = {row["account"]: number for number, row in enumerate(rows, 1)}
        for row in rows:
            millions = _number(row["revenue"])
            values = {
                sector.code: _option(sector, row["sector"]),
                founded.code: _number(row["year_established"]),
                revenue.code: millions,
                parent.code: self.org_ids.get(row["subsidiary_of"]),
            }
            country = row["office_location"]
            self.account.organizations.put(
                Organization(
                    id=self.org_ids[row["account"]], name=row["account"], owner_id=1,
                    add_time=self.opened, update_time=self.opened,
                    address={"value": country, "country": country} if country else None,
                    annual_revenue=None if millions is None else round(millions * 1e6),
                    employee_count=int(row["employees"]) if row["employees"] else None,
                    custom_fields=_set_only(values),
                )
            )  # fmt: skip

    def products(self) -> None:
        for number, row in enumerate(self.tables["products"], 1):
            made = Product(
                id=number, name=row["product"], code=_squeeze(row["product"]),
                category=row["series"], owner_id=1, add_time=self.opened, update_time=self.opened,
                prices=[
                    {"product_id": number, "price": _number(row["sales_price"]) or 0,
                     "currency": CURRENCY, "cost": 0, "direct_cost": None, "notes": ""},
                ],
                custom_fields=CustomFields(),
            )  # fmt: skip
            self.account.products.put(made)
            # The pipeline has "GTXPro", the product list "GTX Pro".
            self.products_by_name[_squeeze(made.name)] = made

    def deals(self) -> None:
        rows, teams = self.tables["sales_pipeline"], self.tables["sales_teams"]
        product = self._enum("deal", "Product", self.tables["products"], "product")
        manager = self._enum("deal", "Manager", teams, "manager")
        office = self._enum("deal", "Regional office", teams, "regional_office")
        source = self.account.fields["deal"].add("Opportunity ID", "varchar")
        team_of = {row["sales_agent"]: row for row in teams}
        undated = sum(1 for row in rows if not row["engage_date"])
        seen = 0
        for number, row in enumerate(rows, 1):
            team = team_of.get(row["sales_agent"], {})
            item = self.products_by_name.get(_squeeze(row["product"]))
            values = {
                product.code: _option(product, item.name) if item else None,
                manager.code: _option(manager, team.get("manager", "")),
                office.code: _option(office, team.get("regional_office", "")),
                source.code: row["opportunity_id"],
            }
            if row["engage_date"]:
                added = noon(row["engage_date"])
            else:
                back = _PROSPECTING_DAYS * (undated - seen) // max(undated, 1)
                added, seen = plus_days(self.end, -back), seen + 1
            self._deal(number, row, item, added, _set_only(values).values)

    def _deal(
        self, number: int, row: dict[str, str], item: Product | None, added: str, values: Any
    ) -> None:
        account = self.account
        price = item.prices[0]["price"] if item else 0
        deal = account.create_deal(
            f"{row['account'] or 'Unknown account'} - {item.name if item else row['product']}",
            at=added, deal_id=number, currency=CURRENCY, value=price,
            stage_id=PROSPECTING if row["deal_stage"] == "Prospecting" else ENGAGING,
            owner_id=self.user_ids.get(row["sales_agent"], 1),
            org_id=self.org_ids.get(row["account"]), custom_fields=values, origin="Import",
        )  # fmt: skip
        value = price
        if row["close_date"]:
            status = row["deal_stage"].lower()
            if status not in ("won", "lost"):
                msg = f"sales_pipeline.csv row {number}: {row['deal_stage']!r} with a close_date"
                raise CsvError(msg)
            value = _number(row["close_value"]) or 0
            account._change_deal(
                deal, {"status": status, "value": value}, at=noon(row["close_date"])
            )
        if item:
            self._line(deal.id, item, value, deal.status, added, deal.update_time or added)

    def _line(
        self, deal_id: int, item: Product, value: float, status: str, added: str, updated: str
    ) -> None:
        price = item.prices[0]["price"]
        lost = status == "lost"
        discount = 0 if lost or value >= price else round(price - value, 2)
        self.account.deal_products.put(
            DealProduct(
                id=deal_id, deal_id=deal_id, product_id=item.id, name=item.name, order_nr=1,
                add_time=added, update_time=updated, currency=CURRENCY,
                item_price=price if lost or value < price else value,
                discount=discount, discount_type="amount",
                # A disabled line does not count towards the deal's value.
                is_enabled=not lost, sum=price if lost else value,
            )
        )  # fmt: skip
        self.account.products_of_deal[deal_id].append(deal_id)

    def _enum(self, entity: str, name: str, rows: Rows, column: str) -> FieldDefinition:
        labels = list(dict.fromkeys(row[column] for row in rows if row[column]))
        fields = self.account.fields[entity]
        return fields.add(name, "enum", labels, first_option=fields.next_option_id())


def _option(field: FieldDefinition, label: str) -> int | str | None:
    return next((o.id for o in field.options or [] if o.label == label), None)


def _set_only(values: dict[str, Any]) -> CustomFields:
    return CustomFields({key: value for key, value in values.items() if value is not None})


def _number(text: str) -> float | None:
    if not text:
        return None
    value = float(text)
    return int(value) if value.is_integer() else value


def _squeeze(name: str) -> str:
    return "".join(name.split())


def present_of(tables: dict[str, Rows]) -> int:
    """Return the account's current time (seconds): noon of the day after the last date."""
    return to_seconds(plus_days(last_date(tables), 1))
