"""A sweep finds records that were deleted without a trace; it marks them and never deletes them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from conftest import Checkout, Run, SecondDemo, truth

from pipeboard.local.simulator import Simulator

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


def load(checkout: Checkout, report: Path, **environ: str) -> dict[str, Any]:
    """Run tap and loader of `sync`, without dbt; return what the tap read, by stream."""
    arguments = ("run", "tap-pipedrive", "target-postgres")
    run = checkout.run(*arguments, name="meltano", PIPEBOARD_RUN_REPORT=str(report), **environ)
    assert run.code == 0, run.out + run.err
    return json.loads(report.read_text())["streams"]  # type: ignore[no-any-return]


def test_a_sweep_marks_deleted_records(
    checkout: Checkout,
    first_sync: Run,
    idle_sync: SecondDemo,
    own_account: Simulator,
    own_environ: dict[str, str],
    tmp_path: Path,
) -> None:
    assert idle_sync.run.code == 0
    ((rows, marked),) = checkout.query("pipeboard", RAW)
    assert marked == 0
    gone = min(o["id"] for o in truth(own_account, "organizations") if o["_listed"])
    edit(own_account, op="delete_organization", org_id=gone)

    hot = load(checkout, tmp_path / "hot.json", **own_environ)
    assert checkout.query("pipeboard", RAW) == [(rows, 0)], "no list tells"

    swept = checkout.run("run", "sweep", **own_environ)
    assert swept.code == 0, swept.out + swept.err
    assert checkout.query("pipeboard", RAW) == [(rows, 1)]
    mart = "select is_deleted, deleted_at is not null from marts.dim_organization"
    assert checkout.query("pipeboard", f"{mart} where org_id = {gone}") == [(True, True)]
    assert checkout.query("pipeboard", f"{mart} where org_id <> {gone} and is_deleted") == []

    again = load(checkout, tmp_path / "again.json", **own_environ)
    for stream in ("organizations", "persons", "activities", "deals"):
        read, before = again[stream]["records"], hot[stream]["records"]
        assert read <= before, "the sweep did not rewind the hot sync"
