"""dbt: everything from nothing, nothing new, and after a thousand deals changed.

The raw tables come from a real sync of a few thousand deals, then are multiplied in SQL: asking for
the log of each of a million deals would measure the API and not dbt.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from bench.bench_env import ROOT, Account, BenchEnv, program
from bench.cases.calls import selected_streams, shipped_plugin
from bench.measuring import Command, run, step
from bench.pipelines import Pipeboard

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


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Fill the raw tables with all the deals, then with a tenth of them; build thrice each."""
    samples = []
    sizes = {max(env.dbt_scale // 10, SEEDS), max(env.dbt_scale, SEEDS)}
    for deals in sorted(sizes, reverse=True):
        env.server.drop(*SCHEMAS)
        with env.server.limited(LIMITS), env.another_account(SEEDS) as account:
            samples += measure_size(env, account, deals)
    return samples


def measure_size(env: BenchEnv, account: Account, deals: int) -> list[dict[str, Any]]:
    """Build from nothing, with nothing new, and after a thousand deals changed."""
    samples = []
    state = fill(env, account, deals)
    rows = env.server.count("pipedrive", "deals")
    changes = env.server.count("pipedrive", "deal_changelog")
    for phase in ("full", "nothing new", "changed"):
        if phase == "changed":
            account.control("advance", {"deals": CHANGES, "hours": 6})
            with step("the sync of what changed"):
                sync(env, account, state)
        with step(f"dbt build, {phase}, {rows:,} deals, {changes:,} changes"):
            size = {"phase": phase, "deals": deals, "rows": rows, "changes": changes}
            samples.append(size | build(env, account))
    return samples


def fill(env: BenchEnv, account: Account, deals: int) -> Any:
    """Make raw tables of that many deals; return the state of the sync they come from."""
    with step(f"raw tables of {deals:,} deals"):
        state = sync(env, account, None)
        for table, ids in IDS.items():
            multiply(env, table, ids, deals // SEEDS - 1)
    return state


def sync(env: BenchEnv, account: Account, state: Any) -> Any:
    """Bring what is new; return the state."""
    config = json.loads(env.tap_config(account).read_text())
    config["state_dir"] = str(env.file("dbt-tap-state"))
    tap = [program("tap", "tap-pipedrive"), "--config", env.file("dbt-tap.json", config)]
    tap += ["--catalog", env.catalog(account, *selected_streams())]
    if state is not None:
        tap += ["--state", env.file("dbt-state.json", state)]
    config = {"sqlalchemy_url": env.server.url}
    loader = [program("loader", "pipeboard-target-postgres"), "--config"]
    loader += [env.file("dbt-loader.json", config)]
    output = env.file("dbt-states.jsonl")
    run([Command("tap", tap), Command("loader", loader)], log=env.log, output=output)
    return json.loads(output.read_text().splitlines()[-1])


def multiply(env: BenchEnv, table: str, ids: tuple[str, ...], copies: int) -> None:
    """Copy the rows of a table so many times, under other ids."""
    columns = env.server.columns("pipedrive", table)
    values = []
    for name, kind in columns.items():
        raised = f'"{name}" + copy * {STEP}'
        if name in ids:
            values.append(f'"{name}" || copy' if kind == "text" else raised)
        else:
            values.append(f'"{name}"')
    names = ", ".join(f'"{name}"' for name in columns)
    env.server.execute(
        f"insert into pipedrive.{table} ({names}) select {', '.join(values)} "
        f"from pipedrive.{table}, generate_series(1, {copies}) as copy"
    )


def command_arguments(name: str) -> list[str]:
    """Return what Meltano tells dbt by one of its commands in meltano.yml."""
    return shlex.split(shipped_plugin("utilities", "dbt")["commands"][name]["args"])


def build(env: BenchEnv, account: Account, command: str = "changed") -> dict[str, Any]:
    """Run `dbt:changed` as a sync does, or another of dbt's commands; it must end well."""
    environ = Pipeboard().environ(env, account)
    executable = shipped_plugin("utilities", "dbt")["commands"][command].get("executable", "dbt")
    argv = [ROOT / ".pipeboard" / "bin" / executable, *command_arguments(command)]
    measured = run([Command("dbt", argv, environ)], log=env.log, server=env.server)
    return measured.sample()
