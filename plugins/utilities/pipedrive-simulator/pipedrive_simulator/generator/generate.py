"""Creates the generated account: about two years of a sales team, deterministic by seed."""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import Any

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.records import Deal
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text, to_text
from pipedrive_simulator.generator import names
from pipedrive_simulator.generator.deal_items import (
    add_activities,
    add_notes_and_leads,
    add_products,
    convert_leads,
    delete_and_merge_some,
)
from pipedrive_simulator.generator.field_plans import DEAL_FIELDS, DELETED_ORIGIN, TEMPERATURE
from pipedrive_simulator.generator.org_setup import add_org_setup
from pipedrive_simulator.generator.process import (
    TEMPERATURE_EFFECT,
    Event,
    Place,
    deal_events,
    office_time,
)
from pipedrive_simulator.generator.reference_data import (
    PIPELINES,
    USERS,
    add_reference_data,
    owner_at,
)
from pipedrive_simulator.generator.related_records import add_related_records
from pipedrive_simulator.generator.values import ValueMaker

HISTORY_DAYS = 730
# New deals per month relative to the year's mean, January first: summer holidays, year-end rush.
_SEASON = (0.72, 0.82, 1.08, 1.02, 1.05, 1.0, 0.94, 1.06, 1.12, 1.14, 1.18, 0.87)
_CURRENCIES, _CURRENCY_WEIGHTS = ("BRL", "USD", "EUR"), (90, 6, 4)
# Two bulk edits that changed many deals within one second: (days ago, share of unchanged deals).
_BULK_EDITS = ((61, 0.07), (4, 0.02))


def generate(account: Account, deals: int) -> None:
    """Fill an empty account with `deals` deals and all related records."""
    rng = Random(account.seed)
    now = account.clock.seconds()
    start = now - HISTORY_DAYS * SECONDS_PER_DAY
    # The journal has one line for the whole generation, none for its steps.
    account.mutation_depth += 1
    add_reference_data(
        account, rng, start=start - 20 * SECONDS_PER_DAY,
        companies=(deals * 3 + 9) // 10, people=(deals * 9 + 19) // 20,
    )  # fmt: skip
    maker = ValueMaker(account, rng)
    fields = account.fields["deal"]
    fills = list(zip(fields.custom, (plan.fill for plan in DEAL_FIELDS), strict=True))
    temperature = fields.find(TEMPERATURE)
    effects = {o.id: TEMPERATURE_EFFECT[o.label] for o in temperature.options or []}
    for number, second in enumerate(_arrivals(rng, deals, start, now), 1):
        deal = _new_deal(account, rng, maker, fills, number, second, place := _first_place(rng))
        effect = effects.get(deal.custom_fields.values.get(temperature.code), 0.0)
        pace = rng.lognormvariate(0, 0.35)
        events = list(
            deal_events(rng, place, second, now, effect=effect, value=deal.value, pace=pace)
        )
        _fold(account, rng, maker, fills, deal, events)
        _archive_or_delete(account, rng, deal, now)
    _bulk_edits(account, rng, now)
    add_products(account, rng)
    add_activities(account, rng, now)
    add_notes_and_leads(account, rng, start, now)
    convert_leads(account)
    delete_and_merge_some(account, rng, now)
    for field in fields.custom:
        # Records keep the id of the deleted option, which then has no label.
        if field.options:
            field.options[:] = [o for o in field.options if o.label != DELETED_ORIGIN]
    # Random numbers of their own, so that the records above stay the same.
    add_org_setup(account, Random(f"{account.seed}/office"), start, now)
    add_related_records(account, Random(f"{account.seed}/surroundings"), now)
    account.mutation_depth -= 1


def _arrivals(rng: Random, count: int, start: int, now: int) -> list[int]:
    """Return the times of new deals: seasonal by month, few on weekends, 30 % growth a year."""
    first = start // SECONDS_PER_DAY
    days = range(first, now // SECONDS_PER_DAY)
    weights = [
        _SEASON[int(day_text(day)[5:7]) - 1]
        * (0.06 if (day + 3) % 7 > 4 else 1.0)
        * (1 + 0.3 * (day - first) / HISTORY_DAYS)
        for day in days
    ]
    chosen = rng.choices(days, cum_weights=list(accumulate(weights)), k=count) if count else []
    return sorted(
        min(office_time(rng, day * SECONDS_PER_DAY + 1, day * SECONDS_PER_DAY), now - 60)
        for day in chosen
    )


def _first_place(rng: Random) -> Place:
    pipeline = rng.choices(range(len(PIPELINES)), [plan.share for plan in PIPELINES])[0]
    return Place(pipeline, 1 if rng.random() < 0.1 else 0)


def _new_deal(
    account: Account, rng: Random, maker: ValueMaker, fills: list[Any], number: int, second: int,
    place: Place,
) -> Deal:  # fmt: skip
    at = to_text(second)
    currency = rng.choices(_CURRENCIES, _CURRENCY_WEIGHTS)[0]
    value = rng.lognormvariate(0, 0.8) * PIPELINES[place.pipeline].value
    rate = 1 if currency == "BRL" else 5
    # Contacts are created in the order of their ids: choose one that exists at this time.
    companies, people = len(account.organizations), len(account.persons)
    org = rng.randrange(companies) + 1 if rng.random() < 0.93 else None
    day = second // SECONDS_PER_DAY
    product = rng.choice(names.PRODUCTS)[0]
    company = account.organizations.records[org].name if org else f"Cliente {number}"
    return account.create_deal(
        f"{company} - {product}",
        at=at,
        deal_id=number,
        stage_id=place.stage_id,
        owner_id=owner_at(rng.randrange(USERS) + 1, second, account.clock.seconds()),
        value=round(value / rate, -1) if rng.random() < 0.94 else 0,
        currency=currency,
        org_id=org,
        person_id=rng.randrange(people) + 1 if rng.random() < 0.88 else None,
        expected_close_date=day_text(day + rng.randrange(20, 120)) if rng.random() < 0.8 else None,
        label_ids=[rng.randrange(3) + 1] if rng.random() < 0.2 else [],
        probability=rng.choice((10, 25, 50, 75, 90)) if rng.random() < 0.15 else None,
        origin=rng.choice(("ManuallyCreated", "ManuallyCreated", "API", "WebForms", "Import")),
        custom_fields=maker.fill(fills, second, currency),
    )


def _fold(
    account: Account, rng: Random, maker: ValueMaker, fills: list[Any], deal: Deal,
    events: list[Event],
) -> None:  # fmt: skip
    for second, changes in events:
        if rng.random() < 0.1:
            # A field is filled in at the same time as the deal moves.
            field, share = rng.choice(fills)
            if share:
                value = maker.make(field, second, deal.currency)
                changes["custom_fields"] = {field.code: value}
        account._change_deal(deal, changes, at=to_text(second))


def _archive_or_delete(account: Account, rng: Random, deal: Deal, now: int) -> None:
    """Archive some closed deals, and delete some deals of any status."""
    last = deal.update_time or deal.add_time
    roll = rng.random()
    if roll < 0.06 and deal.status in ("won", "lost"):
        at = _between(rng, last, now)
        account.archive_deal(deal.id, at=at)
        if roll < 0.004:
            account.delete_deal(deal.id, at=_between(rng, at, now))
    elif roll > 0.982:
        # Four in ten were deleted so recently that the API still lists them.
        recent = to_text(now - 25 * SECONDS_PER_DAY)
        account.delete_deal(
            deal.id, at=_between(rng, max(last, recent) if roll > 0.99 else last, now)
        )


def _between(rng: Random, after: str, now: int) -> str:
    from pipedrive_simulator.clock import to_seconds

    first = to_seconds(after)
    return to_text(first + 1 + int(rng.random() * max(now - first - 2, 0)))


def _bulk_edits(account: Account, rng: Random, now: int) -> None:
    """Change the owner of many deals at once, so that several pages share one update time."""
    for days_ago, share in _BULK_EDITS:
        second = now - days_ago * SECONDS_PER_DAY
        at = to_text(second)
        for deal in account.deals.records.values():
            at_rest = (deal.update_time or "") < at and not (deal.is_archived or deal.is_deleted)
            if at_rest and rng.random() < share:
                owner = owner_at(deal.owner_id % USERS + 1, second, now)
                account._change_deal(deal, {"owner_id": owner}, at=at, actor=1, is_bulk=True)
