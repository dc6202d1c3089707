"""`make sync`: an account of its own, beside the demo."""

from __future__ import annotations

import json

import pytest
from conftest import Checkout, Run, SecondDemo, every_other_day, truth

from pipeboard.local.simulator import Simulator

LISTS = (
    *("getPersons", "getOrganizations", "getActivities", "getProducts", "getPipelines"),
    *("getStages", "getUsers", "getDealFields", "getPersonFields", "getOrganizationFields"),
    *("getProductFields", "getActivityFields"),
)


def test_a_sync_works_beside_the_demo(first_sync: Run) -> None:
    assert first_sync.code == 0, first_sync.out + first_sync.err
    assert "done: sync" in first_sync.out


def test_environments_do_not_share_data_or_state(
    checkout: Checkout, second_demo: SecondDemo, own_account: Simulator, first_sync: Run
) -> None:
    query = "select deal_id, title from marts.fct_deal where not is_deleted"
    own = set(checkout.query("pipeboard", query))
    really = {
        (deal["id"], deal["title"])
        for deal in truth(own_account, "deals")
        if not deal["_purged"] and not deal["is_deleted"]
    }
    assert own == really
    assert own.isdisjoint(checkout.query("pipeboard_demo", query))
    states = checkout.query("pipeboard", "select state_id from meltano.state")
    assert all(state.startswith("dev:") for (state,) in states)


def test_a_sync_without_changes_costs_one_call_per_list(idle_sync: SecondDemo) -> None:
    assert idle_sync.run.code == 0, idle_sync.run.out + idle_sync.run.err
    calls = {operation: idle_sync.calls(operation) for operation in LISTS}
    assert all(count <= 1 for count in calls.values()), calls
    assert idle_sync.calls("getDeals") + idle_sync.calls("getArchivedDeals") <= 2
    assert idle_sync.run.rows("deals") < 50


def test_a_sync_without_changes_builds_no_model(idle_sync: SecondDemo) -> None:
    assert "nothing has changed; " in idle_sync.run.out
    status, dbt, current, models, due = idle_sync.on_record
    assert (status, dbt, due) == ("succeeded", None, 0)
    assert current == models


@every_other_day(0)
def test_backfill_does_not_change_the_state_of_sync(
    checkout: Checkout, idle_sync: SecondDemo, own_environ: dict[str, str]
) -> None:
    query = (
        "select completed_state::text from meltano.state where state_id like '%tap-pipedrive-to-%'"
    )
    states = "select count(*) from meltano.state"
    before, ((n_states,),) = checkout.query("pipeboard", query), checkout.query("pipeboard", states)
    run = checkout.run("backfill", "--streams", "deals,stages", "--no-build", **own_environ)
    assert run.code == 0, run.out + run.err
    report = json.loads((checkout.state / "reports" / "dev-backfill.json").read_text())
    assert report["streams"]["deals"]["records"] > 250
    assert checkout.query("pipeboard", query) == before
    assert checkout.query("pipeboard", states) == [(n_states + 1,)]


@pytest.mark.nightly
def test_a_backfill_ends_with_a_build(
    checkout: Checkout, idle_sync: SecondDemo, own_environ: dict[str, str]
) -> None:
    built = (
        "select finished_at from ops.ops_dbt_model_build "
        "where is_complete and node_id = 'model.pipeboard.fct_deal'"
    )
    before = checkout.query("pipeboard", built)
    run = checkout.run("backfill", "--streams", "stages", **own_environ)
    assert run.code == 0, run.out + run.err
    assert "done: build" in run.out
    ((earlier,),), ((later,),) = before, checkout.query("pipeboard", built)
    assert later > earlier


@every_other_day(1)
@pytest.mark.long
def test_meltano_and_dbt_by_hand_use_the_same_environment(
    checkout: Checkout, idle_sync: SecondDemo, own_environ: dict[str, str]
) -> None:
    listed = checkout.run("state", "list", name="meltano", **own_environ)
    assert "dev:tap-pipedrive-to-target-postgres:" in listed.out + listed.err
    shown = checkout.run("--environment=demo", "state", "list", name="meltano", **own_environ)
    assert "demo:tap-pipedrive-to-target-postgres:simulated" in shown.out + shown.err
    tested = checkout.run("ls", "--select", "fct_deal", name="dbt", **own_environ)
    assert "pipeboard.marts.fct_deal" in tested.out
