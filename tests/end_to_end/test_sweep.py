"""What vanished without a trace is found by a sweep, marked, and never deleted."""

from __future__ import annotations

import json
import urllib.request

from conftest import Checkout, Run, SecondDemo, truth

from pipeboard.simulator import Simulator

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


def test_a_sweep_marks_what_is_gone(
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

    hot = checkout.run("run", "sync", **own_environ)
    assert hot.code == 0
    assert checkout.query("pipeboard", RAW) == [(rows, 0)], "no list tells"

    swept = checkout.run("run", "sweep", **own_environ)
    assert swept.code == 0, swept.out + swept.err
    assert checkout.query("pipeboard", RAW) == [(rows, 1)]
    mart = "select is_deleted, deleted_at is not null from marts.dim_organization"
    assert checkout.query("pipeboard", f"{mart} where org_id = {gone}") == [(True, True)]
    assert checkout.query("pipeboard", f"{mart} where org_id <> {gone} and is_deleted") == []

    again = checkout.run("run", "sync", **own_environ)
    assert again.code == 0
    for stream in ("organizations", "persons", "activities", "deals"):
        assert again.rows(stream) <= hot.rows(stream), "the sweep did not rewind the hot sync"
