"""dbt: everything from nothing, nothing new, and after a thousand deals changed.

The raw tables come from a real sync of a few thousand deals, then are multiplied in SQL: asking for
the log of each of a million deals would measure the API and not dbt.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from bench.cases.calls import selected_streams, shipped_plugin
from bench.ground import ROOT, Account, Ground, program
from bench.measuring import Command, run, step
from bench.pipelines import Ours

TITLE = "dbt"
SEEDS = 5_000
CHANGES = 1_000
SCHEMAS = ("pipedrive", "ops", "staging", "intermediate", "marts", "snapshots")
#: What a modest server grants; a build that needs more than this fails here.
LIMITS = {"work_mem": "64MB", "temp_file_limit": "20GB"}
#: Deals of each copy get ids above those of the one before it.
STEP = 10_000_000
#: Ids to raise, by table; a hash gets a suffix.
IDS = {
    "deals": ("id",),
    "deal_changelog": ("id", "deal_id"),
    "deal_changelog_sync": ("deal_id",),
    "deal_products": ("id", "deal_id"),
    "activities": ("id", "deal_id"),
}


def measure(ground: Ground) -> list[dict[str, Any]]:
    """Fill the raw tables with all the deals, then with a tenth of them; build thrice each."""
    samples = []
    sizes = {max(ground.dbt_scale // 10, SEEDS), max(ground.dbt_scale, SEEDS)}
    for deals in sorted(sizes, reverse=True):
        ground.server.drop(*SCHEMAS)
        with ground.server.limited(LIMITS), ground.another_account(SEEDS) as account:
            samples += measure_size(ground, account, deals)
    return samples


def measure_size(ground: Ground, account: Account, deals: int) -> list[dict[str, Any]]:
    """Build from nothing, with nothing new, and after a thousand deals changed."""
    samples = []
    state = fill(ground, account, deals)
    rows = ground.server.count("pipedrive", "deals")
    changes = ground.server.count("pipedrive", "deal_changelog")
    for phase in ("full", "nothing new", "changed"):
        if phase == "changed":
            account.control("advance", {"deals": CHANGES, "hours": 6})
            with step("the sync of what changed"):
                sync(ground, account, state)
        with step(f"dbt build, {phase}, {rows:,} deals, {changes:,} changes"):
            size = {"phase": phase, "deals": deals, "rows": rows, "changes": changes}
            samples.append(size | build(ground, account))
    return samples


def fill(ground: Ground, account: Account, deals: int) -> Any:
    """Make raw tables of that many deals; return the state of the sync they come from."""
    with step(f"raw tables of {deals:,} deals"):
        state = sync(ground, account, None)
        for table, ids in IDS.items():
            multiply(ground, table, ids, deals // SEEDS - 1)
    return state


def sync(ground: Ground, account: Account, state: Any) -> Any:
    """Bring what is new; return the state."""
    config = json.loads(ground.tap_config(account).read_text())
    config["state_dir"] = str(ground.file("dbt-tap-state"))
    tap = [program("tap", "tap-pipedrive"), "--config", ground.file("dbt-tap.json", config)]
    tap += ["--catalog", ground.catalog(account, *selected_streams())]
    if state is not None:
        tap += ["--state", ground.file("dbt-state.json", state)]
    config = {"sqlalchemy_url": ground.server.url}
    loader = [program("loader", "pipeboard-target-postgres"), "--config"]
    loader += [ground.file("dbt-loader.json", config)]
    output = ground.file("dbt-states.jsonl")
    run([Command("tap", tap), Command("loader", loader)], log=ground.log, output=output)
    return json.loads(output.read_text().splitlines()[-1])


def multiply(ground: Ground, table: str, ids: tuple[str, ...], copies: int) -> None:
    """Copy the rows of a table so many times, under other ids."""
    columns = ground.server.columns("pipedrive", table)
    values = []
    for name, kind in columns.items():
        raised = f'"{name}" + copy * {STEP}'
        if name in ids:
            values.append(f'"{name}" || copy' if kind == "text" else raised)
        else:
            values.append(f'"{name}"')
    names = ", ".join(f'"{name}"' for name in columns)
    ground.server.execute(
        f"insert into pipedrive.{table} ({names}) select {', '.join(values)} "
        f"from pipedrive.{table}, generate_series(1, {copies}) as copy"
    )


def command_words(name: str) -> list[str]:
    """Return what Meltano tells dbt by one of its commands in meltano.yml."""
    return shlex.split(shipped_plugin("utilities", "dbt")["commands"][name]["args"])


def build(ground: Ground, account: Account, command: str = "changed") -> dict[str, Any]:
    """Run `dbt:changed` as a sync does, or another of dbt's commands; it must end well."""
    environ = Ours().environ(ground, account)
    executable = shipped_plugin("utilities", "dbt")["commands"][command].get("executable", "dbt")
    words = [ROOT / ".pipeboard" / "bin" / executable, *command_words(command)]
    measured = run([Command("dbt", words, environ)], log=ground.log, server=ground.server)
    return measured.sample()
