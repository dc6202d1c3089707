"""Product lines, activities, notes and leads of generated deals."""

from __future__ import annotations

import uuid
from random import Random
from typing import TYPE_CHECKING

from pipedrive_simulator.account.records import (
    Activity,
    CustomFields,
    Deal,
    DealProduct,
    Installment,
)
from pipedrive_simulator.account.records_v1 import Lead, Note
from pipedrive_simulator.clock import (
    SECONDS_PER_DAY,
    day_text,
    millis,
    naive,
    to_seconds,
    to_text,
)
from pipedrive_simulator.generator import names

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

_DURATIONS = ("00:15:00", "00:30:00", "01:00:00", None)
_TYPES = list(names.ACTIVITY_SUBJECTS)
_TYPE_WEIGHTS = (34, 20, 14, 14, 4, 1, 9, 4)


def add_products(account: Account, rng: Random) -> None:
    """Add one or two product lines to most deals; they sum up to the deal's value."""
    number = 0
    for deal in account.deals.records.values():
        if not deal.value or rng.random() > 0.62:
            continue
        cut = rng.uniform(0.3, 0.7) if rng.random() < 0.35 else 1.0
        first = round(deal.value * cut, 2)
        for order, amount in enumerate((first, round(deal.value - first, 2)), 1):
            if amount <= 0:
                continue
            number += 1
            product = rng.randrange(len(names.PRODUCTS)) + 1
            quantity = rng.choice((1, 1, 1, 2, 4, 2.5))
            discount = 10 if number % 5 == 0 else 0
            account.deal_products.put(
                DealProduct(
                    id=number, sum=amount, deal_id=deal.id, product_id=product,
                    name=names.PRODUCTS[product - 1][0], order_nr=order, add_time=deal.add_time,
                    update_time=deal.update_time, currency=deal.currency, quantity=quantity,
                    item_price=round(amount / quantity / (1 - discount / 100), 6),
                    discount=discount,
                    billing_frequency=names.PRODUCTS[product - 1][4],
                )
            )  # fmt: skip
            account.products_of_deal[deal.id].append(number)
        if deal.status == "won" and rng.random() < 0.06:
            add_installments(account, deal)


def add_installments(account: Account, deal: Deal) -> None:
    """Plan three payments for a won deal."""
    day = to_seconds(deal.won_time or deal.add_time) // SECONDS_PER_DAY
    for part in range(1, 4):
        account.installments.put(
            Installment(
                id=len(account.installments) + 1, amount=round(deal.value / 3, 2),
                billing_date=day_text(day + part * 30), description=f"Parcela {part} de 3",
                deal_id=deal.id,
            )
        )  # fmt: skip


def add_activities(account: Account, rng: Random, now: int) -> None:
    """Add activities to each deal between creation and close; open deals also get future ones."""
    number = 0
    for deal in account.deals.records.values():
        first = to_seconds(deal.add_time)
        last = to_seconds(deal.close_time) if deal.close_time else now
        for _ in range(min(int(rng.expovariate(1 / 2.6)), 14)):
            number += 1
            account.activities.records[number] = _activity(rng, deal, number, first, last, now)
            account.activities_of_deal[deal.id].append(number)


def _activity(rng: Random, deal: Deal, number: int, first: int, last: int, now: int) -> Activity:
    made = first + int(rng.random() * max(last - first, 1))
    due = made + int(rng.random() * 12 * SECONDS_PER_DAY)
    done = due < now and rng.random() < 0.87
    finished = min(due + int(rng.expovariate(1 / 30_000)), now)
    kind = rng.choices(_TYPES, _TYPE_WEIGHTS)[0]
    day, clock = divmod(due, SECONDS_PER_DAY)
    # A third of the activities are for a whole day, without a time.
    hour = f"{clock // 3600:02d}:{clock % 3600 // 60:02d}:00" if rng.random() < 0.67 else None
    person = deal.person_id
    return Activity(
        id=number, subject=names.ACTIVITY_SUBJECTS[kind].format(deal.title.split(" - ")[0]),
        type=kind, owner_id=deal.owner_id, creator_user_id=deal.creator_user_id,
        add_time=to_text(made), update_time=to_text(finished if done else made), deal_id=deal.id,
        person_id=person, org_id=deal.org_id, due_date=day_text(day), due_time=hour,
        duration=rng.choice(_DURATIONS) if hour else None, busy=kind == "meeting", done=done,
        marked_as_done_time=to_text(finished) if done else None,
        participants=[{"person_id": person, "primary": True}] if person else [],
    )  # fmt: skip


def delete_and_merge_some(account: Account, rng: Random, now: int) -> None:
    """Delete and merge a few records; references to deleted records stay, as in a real account."""

    def later(update_time: str | None) -> str:
        first = to_seconds(update_time) if update_time else now
        return to_text(first + int(rng.random() * (now - first)))

    for number in range(400, len(account.persons) + 1, 400):
        account.delete_person(number, at=later(account.persons.records[number].update_time))
    for number in range(150, len(account.activities) + 1, 150):
        account.delete_activity(number, at=later(account.activities.records[number].update_time))
    if len(account.persons) > 30 and len(account.organizations) > 20:
        # A merge updates every deal of the merged record, so it comes last: times must increase.
        account.merge_persons(30, into=7, at=to_text(now))
        account.merge_organizations(20, into=3, at=to_text(now))
        # Product lines of the deleted product stay, without a product.
        account.delete_product(len(names.PRODUCTS), at=to_text(now))


def add_notes_and_leads(account: Account, rng: Random, start: int, now: int) -> None:
    """Add notes to a quarter of the deals, and about one lead per twelve deals."""
    users = account.users.records
    for deal in account.deals.records.values():
        if rng.random() > 0.25:
            continue
        stamp = naive(to_text(to_seconds(deal.add_time) + 3600))
        author = users[deal.owner_id]
        account.notes.put(
            Note(
                id=len(account.notes) + 1, content="<p>Conversa inicial registrada.</p>",
                add_time=stamp, update_time=stamp, deal_id=deal.id, deal={"title": deal.title},
                user_id=author.id, last_update_user_id=None, pinned_to_deal_flag=False,
                user={"email": author.email, "icon_url": None, "is_you": author.is_you,
                      "name": author.name},
            )
        )  # fmt: skip
    labels = list(account.lead_labels.records)
    segment = account.fields["deal"].find("Segmento")
    for i in range(len(account.deals) // 12):
        made = millis(to_text(start + int(rng.random() * (now - start))))
        owner = rng.randrange(12) + 1
        option = rng.choice(segment.options or [])
        account.leads.put(
            Lead(
                id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{account.seed}/lead/{i}")),
                title=f"Interesse {i + 1}", owner_id=owner, creator_id=owner,
                label_ids=[rng.choice(labels)] if rng.random() < 0.5 else [],
                person_id=rng.randrange(len(account.persons)) + 1,
                source_name=rng.choice(("Web forms", "Manually created", "API")),
                is_archived=rng.random() < 0.2, was_seen=rng.random() < 0.8,
                value={"amount": rng.randrange(1, 200) * 100, "currency": "BRL"}
                if rng.random() < 0.6 else None,
                add_time=made, update_time=made,
                custom_fields=CustomFields(
                    {segment.code: option.id} if rng.random() < 0.5 else {}
                ),
            )
        )  # fmt: skip


def convert_leads(account: Account) -> None:
    """Let every third lead become the next deal that was added after it."""
    deals = iter(list(account.deals.records.values()))
    leads = sorted(account.leads.records.values(), key=lambda lead: to_seconds(lead.add_time))
    for lead in leads[::3]:
        made = to_seconds(lead.add_time)
        deal = next((deal for deal in deals if to_seconds(deal.add_time) > made), None)
        if deal is None:
            return
        deal.source_lead_id = lead.id
        lead.title, lead.owner_id, lead.person_id = deal.title, deal.owner_id, deal.person_id
        lead.is_archived, lead.update_time = True, millis(deal.add_time)
