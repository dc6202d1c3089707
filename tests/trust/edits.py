"""Edits of the account: a name and two numbers choose the record and the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipedrive_simulator.account.state import EditError
from pipedrive_simulator.generator.simulated_account import SimulatedAccount
from story import Edit

ENTITIES = ("deal", "person", "organization", "product")


def make(account: SimulatedAccount, edit: Edit) -> str:
    """Make an edit; return what was done, or why the account refused it."""
    account.advance_clock(edit.pause)
    arguments = _arguments(account, edit)
    if arguments is None:
        return f"{edit.op}: nothing to edit"
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    try:
        account.apply(edit.op, **arguments)
    except EditError as error:
        return f"{edit.op}({text}): refused ({error})"
    return f"{edit.op}({text})"


def _arguments(account: SimulatedAccount, edit: Edit) -> dict[str, Any] | None:
    which, how = edit.which, edit.how

    def pick(table: Any, shift: int = 0) -> Any:
        return _pick(sorted(table.records), which + shift)

    deal = pick(account.deals)
    stage = _pick(sorted(account.stages.records), how)
    entity = ENTITIES[which % len(ENTITIES)]
    field = _pick(list(account.fields[entity].custom), how)
    chosen = _pick([f for f in account.fields["deal"].custom if f.options], which)
    option = _pick(chosen.options, how) if chosen else None
    line = pick(account.deal_products)
    known: dict[str, tuple[Any, dict[str, Any]]] = {
        "create_deal": (True, {"stage_id": stage, "title": f"Deal {how}", "value": how * 10.5}),
        "move_deal": (deal, {"deal_id": deal, "stage_id": stage}),
        "win_deal": (deal, {"deal_id": deal}),
        "lose_deal": (deal, {"deal_id": deal, "reason": f"motivo {how % 3}"}),
        "reopen_deal": (deal, {"deal_id": deal}),
        "update_deal": (deal, {"deal_id": deal, "value": how * 7.25}),
        "archive_deal": (deal, {"deal_id": deal}),
        "unarchive_deal": (deal, {"deal_id": deal}),
        "delete_deal": (deal, {"deal_id": deal}),
        "restore_deal": (deal, {"deal_id": deal}),
        "merge_deals": (deal, {"deal_id": deal, "into": pick(account.deals, 1)}),
        "attach_product": (deal, {"deal_id": deal, "product_id": pick(account.products)}),
        "detach_product": (line, {"line_id": line}),
        "create_person": (True, {"name": f"Pessoa {how}"}),
        "update_person": (True, {"person_id": pick(account.persons), "name": f"P{how}"}),
        "merge_persons": (
            True, {"person_id": pick(account.persons), "into": pick(account.persons, 1)},
        ),
        "create_organization": (True, {"name": f"Organização {how}"}),
        "update_organization": (True, {"org_id": pick(account.organizations), "name": f"O{how}"}),
        "create_product": (True, {"name": f"Produto {how}"}),
        "update_product": (True, {"product_id": pick(account.products), "name": f"X{how}"}),
        "create_activity": (deal, {"subject": f"A{how}", "deal_id": deal}),
        "update_activity": (
            True, {"activity_id": pick(account.activities), "done": bool(how % 2)},
        ),
        "create_note": (deal, {"content": f"nota {how}", "deal_id": deal}),
        "create_lead": (True, {"title": f"Lead {how}"}),
        "update_lead": (True, {"lead_id": pick(account.leads), "title": f"L{how}"}),
        "create_user": (True, {"name": f"U{how}", "email": f"u{which}-{how}@example.com"}),
        "update_user": (True, {"user_id": pick(account.users), "name": f"U{how}"}),
        "add_field": (True, {"entity": entity, "name": f"Campo {how}", "type": "varchar"}),
        "rename_field": (
            field, {"entity": entity, "field": getattr(field, "key", ""), "name": f"Novo {how}"},
        ),
        "remove_field": (field, {"entity": entity, "field": getattr(field, "key", "")}),
        "add_option": (
            chosen, {"entity": "deal", "field": getattr(chosen, "key", ""), "label": f"Op {how}"},
        ),
        "rename_option": (
            option, {
                "entity": "deal", "field": getattr(chosen, "key", ""),
                "option_id": getattr(option, "id", 0), "label": f"Op {how}",
            },
        ),
        "remove_option": (
            option, {
                "entity": "deal", "field": getattr(chosen, "key", ""),
                "option_id": getattr(option, "id", 0),
            },
        ),
        "create_stage": (
            True, {"pipeline_id": pick(account.pipelines), "name": f"Etapa {how}"},
        ),
        "rename_stage": (stage, {"stage_id": stage, "name": f"Etapa {how}"}),
        "rename_pipeline": (
            True, {"pipeline_id": pick(account.pipelines), "name": f"Funil {how}"},
        ),
    }  # fmt: skip
    needed, arguments = known[edit.op]
    return arguments if needed and None not in arguments.values() else None


def _pick(values: Sequence[Any], which: int) -> Any:
    return values[which % len(values)] if values else None
