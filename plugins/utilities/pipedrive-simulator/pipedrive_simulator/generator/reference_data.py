"""The records before the first deal: users, pipelines, fields, products, companies and people."""

from __future__ import annotations

import unicodedata
from random import Random
from typing import NamedTuple

from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.fields import FieldDefinition, Option
from pipedrive_simulator.account.records import (
    CustomFields,
    Organization,
    Person,
    Pipeline,
    Product,
    Stage,
)
from pipedrive_simulator.account.records_v1 import (
    ActivityType,
    Currency,
    Filter,
    LeadLabel,
    LeadSource,
    Role,
    User,
)
from pipedrive_simulator.clock import SECONDS_PER_DAY, millis, naive, to_text
from pipedrive_simulator.generator import names
from pipedrive_simulator.generator.field_plans import (
    DEAL_FIELDS,
    ORGANIZATION_FIELDS,
    PERSON_FIELDS,
    PRODUCT_FIELDS,
    FieldPlan,
)
from pipedrive_simulator.generator.values import ValueMaker, address, phone

Filled = list[tuple[FieldDefinition, float]]


class StagePlan(NamedTuple):
    """A stage: median days of a deal in it, and the chance that the deal then moves forward."""

    name: str
    days: float
    forward: float


class PipelinePlan(NamedTuple):
    """A pipeline: its share of new deals, the median value of a deal (BRL) and its stages."""

    name: str
    share: float
    value: float
    stages: tuple[StagePlan, ...]


PIPELINES = (
    PipelinePlan("Vendas", 0.56, 16_000, (
        StagePlan("Prospecção", 3, 0.80), StagePlan("Qualificação", 5, 0.76),
        StagePlan("Apresentação", 6, 0.84), StagePlan("Proposta enviada", 8, 0.80),
        StagePlan("Negociação", 9, 0.86),
    )),
    PipelinePlan("Inside Sales", 0.31, 4_200, (
        StagePlan("Lead recebido", 1, 0.78), StagePlan("Contato feito", 2.5, 0.74),
        # The name of a stage in another pipeline too: ids tell them apart, names do not.
        StagePlan("Apresentação", 4, 0.80), StagePlan("Fechamento", 4, 0.85),
    )),
    PipelinePlan("Parcerias e Canais", 0.13, 52_000, (
        StagePlan("Mapeamento", 12, 0.85), StagePlan("1ª reunião", 18, 0.82),
        StagePlan("Minuta de contrato", 25, 0.84), StagePlan("Jurídico", 30, 0.88),
        StagePlan("Assinatura", 14, 0.93),
    )),
)  # fmt: skip
_ACTIVITY_TYPES = (
    ("Ligação", "call", "call"), ("Reunião", "meeting", "meeting"), ("Tarefa", "task", "task"),
    ("E-mail", "email", "email"), ("Prazo", "deadline", "deadline"), ("Almoço", "lunch", "lunch"),
    ("WhatsApp", "whatsapp", "smartphone"), ("Visita técnica", "visita_tecnica", "car"),
)  # fmt: skip
_CURRENCIES = (
    ("BRL", "Real brasileiro", "R$"), ("USD", "Dólar americano", "US$"), ("EUR", "Euro", "€"),
    ("ARS", "Peso argentino", "$"),
)  # fmt: skip
_LEAD_SOURCES = ("Manually created", "Deal", "Web forms", "Prospector", "Live chat", "Import",
                 "Website visitors", "Workflow automation", "API")  # fmt: skip
USERS = 12
_INACTIVE = (7, 11)
#: How long ago those users left.
LEFT_DAYS = 200
_LABELS = (("Cliente antigo", "green"), ("Estratégico", "red"), ("Indicação", "blue"))


def add_reference_data(
    account: Account, rng: Random, *, companies: int, people: int, start: int
) -> None:
    """Add all records that deals refer to; `start` is the account's opening time (seconds)."""
    opened = to_text(start)
    _definitions(account, opened)
    _users(account, rng, start)
    label = next(f for f in account.fields["deal"].builtin if f.code == "label_ids")
    label.options = [Option(i, name, color) for i, (name, color) in enumerate(_LABELS, 1)]
    define_fields(account, "deal", DEAL_FIELDS)
    maker = ValueMaker(account, rng)
    _products(account, maker, define_fields(account, "product", PRODUCT_FIELDS), start)
    _organizations(account, maker, define_fields(account, "organization", ORGANIZATION_FIELDS),
                   companies, start)  # fmt: skip
    _persons(account, maker, define_fields(account, "person", PERSON_FIELDS), people, start)


def define_fields(account: Account, entity: str, plans: tuple[FieldPlan, ...]) -> Filled:
    """Define the planned custom fields and return each with its fill share."""
    fields = account.fields[entity]
    return [
        (
            fields.add(
                plan.name, plan.type, list(plan.options), first_option=fields.next_option_id()
            ),
            plan.fill,
        )
        for plan in plans
    ]


def _definitions(account: Account, opened: str) -> None:
    number = 0
    for order, plan in enumerate(PIPELINES, 1):
        # The first pipeline was edited once; the other pipelines and most stages never.
        edited = opened if order == 1 else None
        account.pipelines.put(
            Pipeline(id=order, name=plan.name, order_nr=order, add_time=opened, update_time=edited)
        )
        for position, stage in enumerate(plan.stages, 1):
            number += 1
            account.stages.put(
                Stage(
                    id=number, name=stage.name, pipeline_id=order, order_nr=position,
                    deal_probability=round(100 * position / (len(plan.stages) + 1)),
                    is_deal_rot_enabled=position > 2, days_to_rotten=30 if position > 2 else None,
                    add_time=opened, update_time=opened if number % 4 == 0 else None,
                )
            )  # fmt: skip
    stamp = millis(opened)
    for i, (name, key, icon) in enumerate(_ACTIVITY_TYPES, 1):
        account.activity_types.put(
            ActivityType(
                id=i, name=name, key_string=key, icon_key=icon, order_nr=i,
                is_custom_flag=i > 6, add_time=stamp, update_time=stamp,
            )
        )  # fmt: skip
    for i, (code, name, symbol) in enumerate(_CURRENCIES, 1):
        account.currencies.put(Currency(id=i, code=code, name=name, symbol=symbol))
    for i, (name, kind) in enumerate((("Negócios abertos", "deals"), ("Clientes", "org")), 1):
        account.filters.put(Filter(id=i, name=name, type=kind, user_id=1, add_time=naive(opened)))
    for i, (name, color) in enumerate((("Quente", "red"), ("Morno", "yellow"), ("Frio", "blue"))):
        uuid = f"f08b42a{i}-4e75-41ea-8643-03698ef1cfd6"
        account.lead_labels.put(
            LeadLabel(id=uuid, name=name, color=color, add_time=stamp, update_time=stamp)
        )
    for i, name in enumerate(_LEAD_SOURCES, 1):
        account.lead_sources.put(LeadSource(id=i, name=name))
    account.roles.put(Role(id=1, name="Comercial", assignment_count=str(USERS)))


def _users(account: Account, rng: Random, start: int) -> None:
    for i in range(1, USERS + 1):
        first = names.FIRST_NAMES[(i * 7 + account.seed) % len(names.FIRST_NAMES)]
        last = names.SURNAMES[(i * 11 + account.seed) % len(names.SURNAMES)]
        active = i not in _INACTIVE
        admin = {"app": "sales", "admin": i == 1, "permission_set_id": permission_set(i == 1)}
        account.users.put(
            User(
                id=i, name=f"{first} {last}", email=f"{ascii_name(first)}{i}@exemplo.com.br",
                created=naive(to_text(start + i * 3600)),
                modified=None if i % 3 == 0 else naive(to_text(start + i * SECONDS_PER_DAY)),
                last_login=naive(to_text(start + i * SECONDS_PER_DAY)),
                # One user has no access entry at all, which means: no admin anywhere.
                access=[] if i == 5 else [admin], active_flag=active, activated=True,
                is_you=i == 1, has_created_company=i == 1,
                phone=phone(rng) if i % 2 else None,
            )
        )  # fmt: skip


def owner_at(number: int, second: int, now: int) -> int:
    """Return a user who may get a deal at a time: the next one in place of one who has left."""
    has_left = number in _INACTIVE and second > now - LEFT_DAYS * SECONDS_PER_DAY
    return number + 1 if has_left else number


def permission_set(admin: bool) -> str:
    """Return the id of the permission set of administrators, or of all others."""
    return f"62cc4d7f-4038-4352-abf3-a8c1c822b63{1 if admin else 2}"


def _products(account: Account, maker: ValueMaker, fields: Filled, start: int) -> None:
    for i, (name, code, category, price, billing) in enumerate(names.PRODUCTS, 1):
        made = to_text(start + i * 600)
        account.products.put(
            Product(
                id=i, name=name, code=code, category=category, unit="un", owner_id=1,
                add_time=made, update_time=made, billing_frequency=billing,
                prices=[
                    {"product_id": i, "price": price, "currency": "BRL",
                     "cost": round(price * 0.4, 2), "direct_cost": None, "notes": ""},
                ],
                custom_fields=CustomFields(maker.fill(fields, start)),
            )
        )  # fmt: skip


def _organizations(
    account: Account, maker: ValueMaker, fields: Filled, count: int, start: int
) -> None:
    rng, span = maker.rng, max(account.clock.seconds() - start, 1)
    weights = [share for *_, share in names.CITIES]
    for i in range(1, count + 1):
        made = start + int(span * 0.98 * (i / (count + 1)))
        city, state, _ = rng.choices(names.CITIES, weights)[0]
        name = f"{rng.choice(names.COMPANY_KINDS)} {rng.choice(names.COMPANY_NAMES)}"
        route, number = rng.choice(names.STREETS), str(rng.randrange(10, 3000))
        text = to_text(made)
        account.organizations.put(
            Organization(
                id=i, name=f"{name} {rng.choice(names.COMPANY_ENDINGS)}",
                owner_id=rng.randrange(USERS) + 1, add_time=text, update_time=text,
                address={
                    "value": f"{route}, {number} - {city}, {state}, Brasil", "country": "Brasil",
                    "admin_area_level_1": state, "admin_area_level_2": None, "locality": city,
                    "sublocality": None, "route": route, "street_number": number,
                    "subpremise": None, "postal_code": None,
                } if rng.random() < 0.8 else None,
                website=f"https://www.{ascii_name(name.split()[-1])}.exemplo.com.br"
                if rng.random() < 0.5 else None,
                employee_count=rng.choice((4, 12, 35, 80, 150, 420, 1200))
                if rng.random() < 0.4 else None,
                custom_fields=CustomFields(maker.fill(fields, made)),
            )
        )  # fmt: skip


def _persons(account: Account, maker: ValueMaker, fields: Filled, count: int, start: int) -> None:
    rng, span = maker.rng, max(account.clock.seconds() - start, 1)
    companies = len(account.organizations)
    for i in range(1, count + 1):
        made = start + int(span * 0.98 * (i / (count + 1)))
        first, last = rng.choice(names.FIRST_NAMES), rng.choice(names.SURNAMES)
        mail = f"{ascii_name(first)}.{ascii_name(last)}{i}@exemplo.com.br"
        text = to_text(made)
        account.persons.put(
            Person(
                id=i, name=f"{first} {last}", first_name=first, last_name=last,
                owner_id=rng.randrange(USERS) + 1,
                org_id=rng.randrange(companies) + 1 if companies and rng.random() < 0.9 else None,
                add_time=text, update_time=text,
                emails=[{"value": mail, "primary": True, "label": "work"}]
                if rng.random() < 0.85 else [],
                phones=[{"value": phone(rng), "primary": True, "label": "mobile"}]
                if rng.random() < 0.7 else [],
                job_title=rng.choice(names.JOB_TITLES) if rng.random() < 0.6 else None,
                postal_address=address(rng) if rng.random() < 0.05 else None,
                custom_fields=CustomFields(maker.fill(fields, made)),
            )
        )  # fmt: skip


def ascii_name(text: str) -> str:
    """Write a name with letters that are allowed in an e-mail address."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return plain.lower()
