"""The same seed and the same journal give the same account."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_simulator.account.account import Account
from pipedrive_simulator.account.oracle import TRUTHS
from pipedrive_simulator.opening import Plan, PlanError, open_account
from simulator_helpers import NOW, TINY_CSV, make_account


def fingerprint(account: Account) -> str:
    digest = hashlib.sha256()
    for name in TRUTHS:
        for line in TRUTHS[name](account):
            digest.update(line)
    digest.update(account.clock.text().encode())
    return digest.hexdigest()


@pytest.mark.parametrize(
    "plan",
    [{"deals": 300}, {"deals": 0}, {"kind": "csv", "csv_dir": str(TINY_CSV), "now": None},
     {"kind": "endless", "deals": 200}],
)  # fmt: skip
def test_the_same_plan_gives_the_same_account(plan: dict[str, Any]) -> None:
    first, second = make_account(**plan), make_account(**plan)
    assert fingerprint(first) == fingerprint(second)
    for account in (first, second):
        account.advance(deals=20, hours=8)
    assert fingerprint(first) == fingerprint(second)


def test_another_seed_gives_another_account() -> None:
    assert fingerprint(make_account(seed=1)) != fingerprint(make_account(seed=2))
    keys = [list(make_account(seed=seed).fields["deal"].keys()) for seed in (1, 2)]
    assert set(keys[0]).isdisjoint(keys[1])


def edit_everything(account: Account) -> None:
    account.advance(deals=25, hours=6)
    deal = account.create_deal("Novo, com acentuação", value=10, custom_fields={"Segmento": 10})
    account.move_deal(deal.id, 2)
    account.update_deal(deal.id, value=11, at="2026-06-15T10:00:00Z")
    account.win_deal(deal.id, actor=2)
    account.reopen_deal(deal.id)
    account.attach_product(deal.id, 1, quantity=2)
    account.advance_clock(90)
    field = account.add_field("deal", "Campo novo", "set", ["a", "b"])
    account.add_option("deal", "Campo novo", "c")
    account.update_deal(deal.id, custom_fields={field.code: [(field.options or [])[0].id]})
    account.rename_field("deal", "Campo novo", "Campo velho")
    account.remove_field("deal", "Concorrente")
    person = account.create_person("Fulana")
    account.merge_persons(1, person.id)
    account.merge_deals(deal.id, next(
        d.id for d in account.deals.records.values() if d.status == "open" and not d.is_archived
    ))  # fmt: skip
    account.create_activity("Ligar", deal_id=2)
    account.create_lead("Lead novo", custom_fields={field.code: [1]})
    account.create_note("<p>olá</p>", deal_id=2)
    account.create_stage("Etapa nova", 1)
    account.rename_stage(1, "Outro nome")
    account.delete_stage(14)
    account.follow_deal(2, 3)
    account.add_participant(2, 9)
    account.add_discount(2, 5)
    account.attach_file(2, "proposta.pdf")
    account.create_user("Nova", "nova@exemplo.com.br")
    account.set_clock("2026-07-01T00:00:00Z")
    account.advance(deals=5, hours=1)


def test_a_restart_rebuilds_the_account(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.jsonl"
    plan = Plan(deals=80, now=NOW, frozen=True)
    account = open_account(plan, path)
    edit_everything(account)
    again = open_account(plan, path)
    assert fingerprint(again) == fingerprint(account)
    # Later edits are journaled, too.
    for one in (account, again):
        one.journal = None
        one.advance(deals=5, hours=1)
    assert fingerprint(again) == fingerprint(account)


def test_a_line_cut_short_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    plan = Plan(deals=30, now=NOW, frozen=True)
    account = open_account(plan, path)
    account.create_deal("guardado")
    with path.open("a") as file:
        file.write('{"op": "create_deal", "ti')
    again = open_account(plan, path)
    assert fingerprint(again) == fingerprint(account)
    again.create_deal("depois da queda")
    assert len(open_account(plan, path).deals) == 32


def test_an_edit_that_is_refused_leaves_no_line(tmp_path: Path) -> None:
    account = open_account(Plan(deals=5, now=NOW, frozen=True), tmp_path / "s")
    with pytest.raises(ValueError, match="no deal 99"):
        account.move_deal(99, 1)
    assert len((tmp_path / "s").read_text().splitlines()) == 1


def test_a_state_file_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    open_account(Plan(deals=5, seed=7, now=NOW), path)
    assert len(open_account(Plan(deals=5, seed=7), path).deals) == 5
    assert open_account(Plan(), path).seed == 7
    with pytest.raises(PlanError, match="seed=7"):
        open_account(Plan(deals=5, seed=8), path)


def test_a_running_clock_goes_on_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "s"
    account = open_account(Plan(deals=5), path)
    account.advance(deals=2, hours=5)
    header = json.loads(path.read_text().splitlines()[0])
    header["started"] -= 1000
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    again = open_account(Plan(deals=5), path)
    assert 995 <= again.clock.seconds() - account.clock.seconds() <= 1010


@settings(max_examples=25, deadline=None)
@given(deals=st.integers(0, 120), hours=st.floats(0, 48), size=st.integers(0, 80))
def test_advance_changes_exactly_the_requested_deals(deals: int, hours: float, size: int) -> None:
    account = make_account(deals=size)
    before = {d.id: bytes(account.deals.encode(d)) for d in account.deals.records.values()}
    start = account.clock.text()
    summary = account.advance(deals=deals, hours=hours)
    touched = {i for ids in summary["deal_ids"].values() for i in ids}
    changed = {
        d.id for d in account.deals.records.values()
        if before.get(d.id) != account.deals.encode(d)
    }  # fmt: skip
    assert touched == changed
    assert len(touched) == deals
    for deal_id in touched:
        updated = account.deals.records[deal_id].update_time
        assert start <= (updated or "") <= account.clock.text()
