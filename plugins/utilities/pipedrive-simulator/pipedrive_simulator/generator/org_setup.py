"""The company's setup: permission sets, teams, webhooks, goals and projects."""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING, Any

from pipedrive_simulator.account.records import CustomFields, Deal, Json
from pipedrive_simulator.account.records_projects import (
    Board,
    Phase,
    Project,
    ProjectTemplate,
    Task,
)
from pipedrive_simulator.account.records_v1 import Goal, PermissionSet, Team, Webhook
from pipedrive_simulator.clock import SECONDS_PER_DAY, day_text, millis, naive, to_seconds, to_text
from pipedrive_simulator.generator.field_plans import PROJECT_FIELDS
from pipedrive_simulator.generator.reference_data import define_fields, permission_set
from pipedrive_simulator.generator.values import ValueMaker

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

_TEAMS = (
    ("Caçadores", "Novos clientes", 2, [1, 2, 3, 4]),
    ("Fazendeiros", "Base instalada", 6, [5, 6, 8, 9]),
    ("Antigo time do Sul", "", 7, [7, 11]),
)
_BOARDS = (
    ("Implantação", ("Kickoff", "Configuração", "Migração", "Homologação", "Entregue")),
    ("Pós-venda", ("Planejado", "Em andamento", "Concluído")),
)
_TASKS = ("Reunião de abertura", "Levantar requisitos", "Configurar ambiente", "Treinar usuários",
          "Homologar com o cliente")  # fmt: skip


def add_org_setup(account: Account, rng: Random, start: int, now: int) -> None:
    """Add the setup at the account's start, and projects for won deals."""
    opened = to_text(start)
    for admin, name, kind in ((True, "Administração de negócios", "admin"),
                              (False, "Uso regular de negócios", "regular")):  # fmt: skip
        account.permission_sets.put(
            PermissionSet(
                id=permission_set(admin), name=name, description=f"{name} (padrão)", app="sales",
                type=kind,
            )
        )  # fmt: skip
    for number, (name, about, manager, users) in enumerate(_TEAMS, 1):
        account.teams.put(
            Team(
                id=number, name=name, description=about, manager_id=manager, users=users,
                active_flag=int(number < 3), add_time=naive(opened), created_by_user_id=1,
            )
        )  # fmt: skip
    _webhooks(account, millis(opened))
    months = (now - start) / SECONDS_PER_DAY / 30.4
    _goals(account, int(to_text(now)[:4]), len(account.deals) / months)
    _boards(account, millis(opened))
    _projects(account, rng, now)


def _webhooks(account: Account, stamp: str) -> None:
    hooks: tuple[Json, ...] = (
        {"event_object": "deal", "name": "Negócios para o ERP", "last_http_status": 200,
         "last_delivery_time": stamp, "http_auth_user": "erp", "http_auth_password": "sem-segredo"},
        {"event_object": "person", "name": "Contatos para o marketing", "is_active": 0,
         "last_http_status": 500, "remove_reason": "3 dias sem sucesso", "remove_time": stamp},
    )  # fmt: skip
    for number, values in enumerate(hooks, 1):
        account.webhooks.put(
            Webhook(
                id=number, company_id=account.company_id, owner_id=1, user_id=1, admin_id=1,
                event_action="*", add_time=stamp,
                subscription_url=f"https://ganchos.exemplo.com.br/{number}", **values,
            )
        )  # fmt: skip


def _goals(account: Account, year: int, new_deals: float) -> None:
    """Add goals of this year, one of each type, and one of last year that is no longer active.

    Targets are in reach of an account with so many new deals in a month: some are missed.
    """
    company = {"id": account.company_id, "type": "company"}
    this_year = {"start": f"{year}-01-01", "end": f"{year}-12-31"}
    by_sum = {"target": max(1_000, round(11_500 * new_deals, -3)), "tracking_metric": "sum",
              "currency_id": 1}  # fmt: skip
    plans: tuple[tuple[str, str, Json, Json, Json], ...] = (
        ("Faturamento", "deals_won", {"pipeline_id": None}, company, by_sum),
        ("Negócios novos dos caçadores", "deals_started", {"pipeline_id": [1, 2]},
         {"id": 1, "type": "team"}, _quantity(0.4 * new_deals)),
        ("Propostas enviadas", "deals_progressed", {"pipeline_id": [1], "stage_id": 4},
         company, _quantity(0.35 * new_deals)),
        ("Ligações feitas", "activities_completed",
         {"pipeline_id": None, "activity_type_id": [1]}, {"id": 1, "type": "person"},
         _quantity(0.1 * new_deals)),
        ("Reuniões marcadas", "activities_added", {"pipeline_id": None, "activity_type_id": [2]},
         {"id": 3, "type": "person"}, _quantity(0.08 * new_deals)),
        ("Contratos do ano passado", "deals_won", {"pipeline_id": [3]}, company,
         _quantity(0.05 * new_deals)),
    )  # fmt: skip
    last_year = {"start": f"{year - 1}-01-01", "end": f"{year - 1}-12-31"}
    for number, (title, name, params, assignee, outcome) in enumerate(plans, 1):
        past = number == len(plans)
        text = f"{account.seed}/goal/{number}"
        account.goals.put(
            Goal(
                id=hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(), owner_id=1,
                title=title, type={"name": name, "params": params}, assignee=assignee,
                interval="monthly", duration=last_year if past else this_year,
                expected_outcome=outcome, is_active=not past,
            )
        )  # fmt: skip


def _quantity(target: float) -> Json:
    return {"target": max(1, round(target)), "tracking_metric": "quantity"}


def _boards(account: Account, stamp: str) -> None:
    for number, (name, phases) in enumerate(_BOARDS, 1):
        board = Board(id=number, name=name, order_nr=number, add_time=stamp, update_time=stamp)
        account.boards.put(board)
        for order, phase in enumerate(phases, 1):
            account.phases.put(
                Phase(
                    id=len(account.phases) + 1, name=phase, board_id=number, order_nr=order,
                    add_time=stamp, update_time=stamp,
                )
            )  # fmt: skip
        account.project_templates.put(
            ProjectTemplate(
                id=number, title=f"{name} padrão", description=None, projects_board_id=number,
                owner_id=1, add_time=stamp, update_time=stamp,
            )
        )  # fmt: skip


def _projects(account: Account, rng: Random, now: int) -> None:
    """Start a project for one won deal in twelve, two at least: the first one is archived."""
    maker = ValueMaker(account, rng)
    fields = define_fields(account, "project", PROJECT_FIELDS)
    won = [
        deal
        for deal in account.deals.records.values()
        if deal.won_time is not None and not deal.is_deleted
    ]
    for deal in some(rng, won, max(1 / 12, 2 / max(len(won), 1))):
        begin = to_seconds(deal.won_time or deal.add_time)
        project = _project(rng, deal, len(account.projects) + 1, begin, now)
        project.custom_fields = CustomFields(maker.fill(fields, begin))
        account.projects.put(project)
        _tasks(account, rng, project, begin, now)


def some(rng: Random, pool: list[Any], share: float) -> list[Any]:
    """Draw a share of a pool, in its order; at least one unless the pool is empty."""
    count = min(len(pool), max(1, round(len(pool) * share)))
    return [pool[i] for i in sorted(rng.sample(range(len(pool)), count))]


def _project(rng: Random, deal: Deal, number: int, begin: int, now: int) -> Project:
    board = 1 if rng.random() < 0.7 else 2
    first, last = (1, 5) if board == 1 else (6, 8)
    end = begin + rng.randrange(20, 110) * SECONDS_PER_DAY
    changed = min(end, now) if end < now else min(begin + 3 * SECONDS_PER_DAY, now)
    status, phase, archived = "open", rng.randrange(first, last), None
    if end < now:
        status = rng.choices(("completed", "canceled", "deleted"), (84, 12, 4 * (number > 2)))[0]
        phase = last if status == "completed" else phase
        if status != "deleted" and rng.random() < (1, 0, 0.4)[min(number, 3) - 1]:
            changed = min(end + int(rng.random() * 20 * SECONDS_PER_DAY), now)
            archived = millis(to_text(changed))
    return Project(
        id=number, title=f"Implantação - {deal.title}", status=status, board_id=board,
        phase_id=phase, owner_id=deal.owner_id, start_date=day_text(begin // SECONDS_PER_DAY),
        end_date=day_text(end // SECONDS_PER_DAY), deal_ids=[deal.id],
        person_ids=[deal.person_id] if deal.person_id else [],
        org_ids=[deal.org_id] if deal.org_id else [],
        health_status=rng.choice((10, 20, 30, None)), add_time=millis(to_text(begin)),
        update_time=millis(to_text(changed)),
        status_change_time=millis(to_text(min(end, now))) if status != "open" else None,
        archive_time=archived,
    )  # fmt: skip


def _tasks(account: Account, rng: Random, project: Project, begin: int, now: int) -> None:
    """Add three to five tasks; the first is a milestone, the last a subtask of the second."""
    count = rng.randrange(3, len(_TASKS) + 1)
    first = len(account.tasks) + 1
    stamp = millis(to_text(begin))
    for order, title in enumerate(_TASKS[:count]):
        due = begin + (order + 1) * 6 * SECONDS_PER_DAY
        finished = millis(to_text(due)) if due < now and rng.random() < 0.85 else None
        account.tasks.put(
            Task(
                id=first + order, title=title, creator_id=project.owner_id, project_id=project.id,
                is_done=finished is not None, is_milestone=order == 0,
                start_date=project.start_date, due_date=day_text(due // SECONDS_PER_DAY),
                parent_task_id=first + 1 if order == count - 1 else None,
                assignee_ids=[project.owner_id], priority=rng.choice((None, 1, 2, 3)),
                add_time=stamp, update_time=finished or stamp, marked_as_done_time=finished,
            )
        )  # fmt: skip
