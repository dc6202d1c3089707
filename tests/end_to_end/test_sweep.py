"""A sweep finds records that were deleted without a trace; it marks them and never deletes them."""

from __future__ import annotations

import json
import urllib.request

from conftest import Checkout, Run, SecondDemo, truth

from pipeboard.local.simulator import Simulator

STATE = "select completed_state::text from meltano.state where state_id like '%tap-pipedrive-to-%'"
RAW = "select count(*), count(_sdc_deleted_at) from pipedrive.organizations"


def edit(simulator: Simulator, **change: object) -> None:
    """Change the account past its API."""
    ready = simulator.ready()
    assert ready is not None
    request = urllib.request.Request(
        f"{ready['url']}/_control/edit",
        data=json.dumps(change).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).read()


def test_a_sweep_marks_deleted_records(
    checkout: Checkout,
    first_sync: Run,
    idle_sync: SecondDemo,
    own_account: Simulator,
    own_environ: dict[str, str],
) -> None:
    assert idle_sync.run.code == 0
    ((rows, marked),) = checkout.query("pipeboard", RAW)
    assert marked == 0
    gone = min(o["id"] for o in truth(own_account, "organizations") if o["_listed"])
    edit(own_account, op="delete_organization", org_id=gone)

    # Tap and loader of `sync`, without dbt.
    hot = checkout.run("run", "tap-pipedrive", "target-postgres", name="meltano", **own_environ)
    assert hot.code == 0, hot.out + hot.err
    state = checkout.query("pipeboard", STATE)
    assert checkout.query("pipeboard", RAW) == [(rows, 0)], "no list tells"

    swept = checkout.run("run", "sweep", **own_environ)
    assert swept.code == 0, swept.out + swept.err
    assert checkout.query("pipeboard", RAW) == [(rows, 1)]
    mart = "select is_deleted, deleted_at is not null from marts.dim_organization"
    assert checkout.query("pipeboard", f"{mart} where org_id = {gone}") == [(True, True)]
    assert checkout.query("pipeboard", f"{mart} where org_id <> {gone} and is_deleted") == []

    assert checkout.query("pipeboard", STATE) == state, "the sweep did not rewind the sync"
