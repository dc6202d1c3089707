"""Records related to deals and contacts: followers, participants, discounts, files, calls, mail.

Their number depends on the size of the account; a few dozen deals have some of each kind.
"""

from __future__ import annotations

import uuid
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

from pipedrive_simulator.account.changelog import field_changes
from pipedrive_simulator.account.records import Deal, Discount, Follower, ProductVariation
from pipedrive_simulator.account.records_exchange import CallLog, File, NoteComment
from pipedrive_simulator.account.records_v1 import OrganizationRelationship, Participant
from pipedrive_simulator.clock import millis, naive, to_seconds, to_text
from pipedrive_simulator.generator.deal_items import add_installments
from pipedrive_simulator.generator.mailbox import add_mail
from pipedrive_simulator.generator.org_setup import some

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

_FILES = (("Proposta comercial", "pdf"), ("Contrato", "pdf"), ("Planilha de custos", "xlsx"),
          ("Apresentação", "pptx"), ("Foto da visita", "img"))  # fmt: skip
_OUTCOMES = ("connected", "no_answer", "left_message", "left_voicemail", "wrong_number", "busy")
_COMMENTS = ("Confirmado com o cliente.", "Retomar na semana que vem.", "Ótimo, obrigado!")


def add_related_records(account: Account, rng: Random, now: int) -> None:
    """Add related records to an account that has deals and contacts."""
    live = [d for d in account.deals.records.values() if not d.is_deleted]
    _followers(account, rng, live, now)
    _participants(account, rng, live, now)
    _discounts(account, rng, live)
    _installments(account, live)
    _variations(account, rng)
    _files(account, rng, live, now)
    _calls(account, rng)
    _comments(account, rng, now)
    _relationships(account, rng)
    _contact_histories(account, rng)
    add_mail(account, rng, live, now)


def moment(rng: Random, deal: Deal, now: int) -> int:
    """Return a random time between a deal's creation and its close, or now."""
    first = to_seconds(deal.add_time)
    last = to_seconds(deal.close_time) if deal.close_time else now
    return first + int(rng.random() * max(last - first, 1))


def _named(account: Account, what: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{account.seed}/{what}/{number}"))


def _followers(account: Account, rng: Random, deals: list[Deal], now: int) -> None:
    active = [user.id for user in account.users.records.values() if user.active_flag]
    for deal in some(rng, deals, 0.12):
        for user in rng.sample(active, rng.choice((1, 1, 2, 3))):
            account.followers.put(
                Follower(
                    id=len(account.followers) + 1, deal_id=deal.id, user_id=user,
                    add_time=to_text(moment(rng, deal, now)),
                )
            )  # fmt: skip


def _participants(account: Account, rng: Random, deals: list[Deal], now: int) -> None:
    persons = [person.id for person in account.persons.records.values() if not person.is_deleted]
    for deal in some(rng, deals, 0.1) if persons else ():
        for person in rng.sample(persons, min(len(persons), rng.choice((1, 1, 2)))):
            if person == deal.person_id:
                continue
            account.participants.put(
                Participant(
                    id=2 * len(account.participants) + 1, deal_id=deal.id, person_id=person,
                    add_time=to_text(moment(rng, deal, now)), added_by_user_id=deal.owner_id,
                )
            )  # fmt: skip


def _discounts(account: Account, rng: Random, deals: list[Deal]) -> None:
    with_lines = [deal for deal in deals if account.products_of_deal.get(deal.id)]
    for number, deal in enumerate(some(rng, with_lines, 0.05), 1):
        percent = rng.choice((5, 10, 15))
        by_percent = rng.random() < 0.7
        account.discounts.put(
            Discount(
                id=_named(account, "discount", number), deal_id=deal.id,
                type="percentage" if by_percent else "amount",
                amount=percent if by_percent else round(deal.value * percent / 100, 2),
                description="Desconto de fechamento", created_at=deal.add_time,
                created_by=deal.owner_id, updated_at=deal.add_time, updated_by=deal.owner_id,
            )
        )  # fmt: skip


def _installments(account: Account, deals: list[Deal]) -> None:
    """Add payments to one deal of a small account if no deal has any."""
    if not account.installments.records:
        won = (d for d in deals if d.status == "won" and account.products_of_deal.get(d.id))
        for deal in islice(won, 1):
            add_installments(account, deal)


def _variations(account: Account, rng: Random) -> None:
    products = [p for p in account.products.records.values() if not p.is_deleted]
    for product in some(rng, products, 0.4):
        price = product.prices[0]
        for name, factor in (("Pacote pequeno", 0.6), ("Pacote grande", 1.8)):
            number = len(account.product_variations) + 1
            account.product_variations.put(
                ProductVariation(
                    id=number, name=f"{product.name} - {name}", product_id=product.id,
                    prices=[
                        {"product_variation_id": number, "currency": price["currency"],
                         "price": round(price["price"] * factor, 2), "direct_cost": None,
                         "cost": round(price["cost"] * factor, 2), "notes": ""},
                    ],
                )
            )  # fmt: skip


def _files(account: Account, rng: Random, deals: list[Deal], now: int) -> None:
    """Attach files to deals, and a few to persons and organizations."""
    for deal in some(rng, deals, 0.1):
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            made = naive(to_text(moment(rng, deal, now)))
            _file(account, rng, made, deal.owner_id, active=rng.random() < 0.95, deal_id=deal.id)
    for table, name in ((account.persons, "person_id"), (account.organizations, "org_id")):
        records: list[Any] = list(table.records.values())
        for record in some(rng, [r for r in records if not r.is_deleted], 0.02):
            _file(account, rng, naive(record.add_time), record.owner_id, **{name: record.id})


def _file(
    account: Account, rng: Random, made: str, user: int, *, active: bool = True, **hangs_on: Any
) -> None:
    number = len(account.files) + 1
    title, kind = rng.choice(_FILES)
    name = f"{title} {number}.{'jpg' if kind == 'img' else kind}"
    account.files.put(
        File(
            id=number, user_id=user, add_time=made, update_time=made, name=name,
            file_name=f"{_named(account, 'file', number)}.{kind}", file_type=kind,
            file_size=rng.randrange(20_000, 9_000_000), active_flag=active, **hangs_on,
        )
    )  # fmt: skip


def _calls(account: Account, rng: Random) -> None:
    """Log half of the users' calls, and at least one of the token's user."""
    me = account.me().id
    made = [
        activity
        for activity in account.activities.records.values()
        if activity.type == "call" and activity.done and not activity.is_deleted
    ]
    mine = [activity for activity in made if activity.owner_id == me]
    # The API returns only calls of the token's user; a few calls of other users test that.
    for activity in some(rng, mine or made, 0.5) + some(rng, made, 0.02):
        number = len(account.call_logs) + 1
        seconds = rng.choice((0, 35, 80, 240, 610))
        begin = to_seconds(activity.marked_as_done_time or activity.add_time) - seconds
        account.call_logs.put(
            CallLog(
                id=_named(account, "call", number).replace("-", ""), activity_id=activity.id,
                person_id=activity.person_id, org_id=activity.org_id, deal_id=activity.deal_id,
                subject=activity.subject, duration=str(seconds),
                outcome=rng.choice(_OUTCOMES[1:]) if seconds == 0 else _OUTCOMES[0],
                from_phone_number="+55 11 3000-0000", to_phone_number="+55 11 90000-0000",
                has_recording=seconds > 200, start_time=millis(to_text(begin)),
                end_time=millis(to_text(begin + seconds)),
                user_id=(activity.owner_id or me) if mine else me,
                company_id=account.company_id, note=None,
            )
        )  # fmt: skip


def _comments(account: Account, rng: Random, now: int) -> None:
    for note in some(rng, list(account.notes.records.values()), 0.15):
        first = to_seconds(note.add_time.replace(" ", "T") + "Z")
        for _ in range(rng.choice((1, 1, 2))):
            stamp = millis(to_text(min(first + rng.randrange(60, 200_000), now)))
            account.note_comments.put(
                NoteComment(
                    id=_named(account, "comment", len(account.note_comments) + 1), add_time=stamp,
                    update_time=stamp, content=rng.choice(_COMMENTS), note_id=note.id,
                    user_id=rng.randrange(len(account.users)) + 1,
                )
            )  # fmt: skip


def _relationships(account: Account, rng: Random) -> None:
    organizations = [o for o in account.organizations.records.values() if not o.is_deleted]
    if len(organizations) < 2:
        return
    for owner in some(rng, organizations, 0.05):
        linked = rng.choice([o for o in rng.sample(organizations, 2) if o is not owner])
        stamp = max(owner.add_time, linked.add_time)
        account.organization_relationships.put(
            OrganizationRelationship(
                id=len(account.organization_relationships) + 1,
                type=rng.choice(("parent", "related")), rel_owner_org_id=owner.id,
                rel_linked_org_id=linked.id, add_time=stamp, update_time=stamp,
            )
        )  # fmt: skip


def _contact_histories(account: Account, rng: Random) -> None:
    """Change the owner of contacts from a web form in the second of their creation.

    In this way the change does not move their update time.
    """
    for table, entity in ((account.persons, "person"), (account.organizations, "organization")):
        records: list[Any] = list(table.records.values())
        handed = [record for record in records if record.owner_id not in (None, 1)]
        for record in some(rng, handed, 0.08):
            change = field_changes("owner_id", 1, record.owner_id)
            account.logs[entity].add(record.id, record.add_time, change, actor=1, source="api")
