"""API calls and tokens of a first and of an incremental sync, against the least that would do.

The least: every list read once, as many pages as its records fill; the log of each deal once in
the first sync, and later of those that moved; products for a hundred deals a call. It is computed
from what the account knows to be true, not from what the tap did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from math import ceil
from typing import Any

import yaml

from bench.bench_env import ROOT, Account, BenchEnv, program
from bench.measuring import BenchError, Command, Measured, run, step

TITLE = "API calls and tokens"
MOST_DEALS = 10_000
CHANGES = 200
PAGE = 500
#: The operations of each stream, and what one call costs, as Pipedrive publishes it.
OPERATIONS = {
    "deals": {"getDeals": 10, "getArchivedDeals": 20},
    "deal_changelog": {"getDealChangelog": 20},
    "deal_changelog_sync": {},
    "deal_products": {"getDealsProducts": 10},
    "deal_products_sync": {},
    "persons": {"getPersons": 10},
    "organizations": {"getOrganizations": 10},
    "activities": {"getActivities": 10},
    "products": {"getProducts": 10},
    "leads": {"getLeads": 20, "getArchivedLeads": 40},
    "notes": {"getNotes": 20},
    "lead_labels": {"getLeadLabels": 10},
    "activity_types": {"getActivityTypes": 20},
    "pipelines": {"getPipelines": 5},
    "stages": {"getStages": 5},
    "users": {"getUsers": 20},
    "deal_fields": {"getDealFields": 10},
    "person_fields": {"getPersonFields": 10},
    "organization_fields": {"getOrganizationFields": 10},
    "product_fields": {"getProductFields": 10},
    "activity_fields": {"getActivityFields": 10},
    "deal_summary_daily": {"getDealsSummary": 40},
}
#: Changes of these make up the history of a deal.
MOVES = ("stage_id", "status", "pipeline_id")


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Sync an account, let it live on, sync again, and sync once more with nothing new."""
    samples = []
    deals = min(env.scale, MOST_DEALS)
    with env.another_account(deals) as account:
        state, since = None, ""
        for sync in ("first", "incremental", "idle"):
            if sync == "incremental":
                since = account.control("clock")["now"]
                account.control("advance", {"deals": min(CHANGES, deals // 5), "hours": 6})
            elif sync == "idle":
                since = account.control("clock", {"advance_seconds": 3600})["now"]
            with step(f"{sync} sync of {deals:,} deals"):
                account.control("stats/reset", {})
                state, _ = one_sync(env, account, state, sync)
                samples += counted(account, sync, least(account, since))
    return samples


def selected_streams() -> list[str]:
    """Return the streams that the shipped pipeline reads."""
    selected = shipped_plugin("extractors", "tap-pipedrive")["select"]
    return [re.sub(r"\.\*$", "", pattern) for pattern in selected]


def shipped_plugin(kind: str, name: str) -> dict[str, Any]:
    """Return what the shipped pipeline's meltano.yml says of a plugin."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    found: dict[str, Any]
    (found,) = [p for p in project["plugins"][kind] if p["name"] == name]
    return found


def costs() -> dict[str, int]:
    """Return what a call of each operation that the pipeline needs costs."""
    found: dict[str, int] = {}
    for stream in selected_streams():
        if stream not in OPERATIONS:
            msg = f"meltano.yml selects {stream}: say in {__name__} what the least for it would be"
            raise BenchError(msg)
        found |= OPERATIONS[stream]
    return found


def one_sync(
    env: BenchEnv, account: Account, state: Any, name: str, **settings: Any
) -> tuple[Any, Measured]:
    """Run the tap over the streams of the pipeline; return the state it ends with, and its time."""
    config = json.loads(env.tap_config(account).read_text()) | settings
    # Between runs the tap remembers which deals it has seen, as it does in the pipeline.
    config["state_dir"] = str(env.file("calls-state"))
    argv = [program("tap", "tap-pipedrive"), "--config", env.file("calls.json", config)]
    argv += ["--catalog", env.catalog(account, *selected_streams())]
    if state is not None:
        argv += ["--state", env.file("state.json", state)]
    output = env.file(f"calls-{name}.jsonl")
    measured = run([Command("tap", argv)], log=env.log, output=output)
    with output.open("rb") as lines:
        last = [line for line in lines if line.startswith(b'{"type":"STATE"')][-1]
    output.unlink()
    return json.loads(last)["value"], measured


def counted(account: Account, sync: str, least_calls: dict[str, int]) -> list[dict[str, Any]]:
    """Return calls and tokens of each operation, beside the least."""
    seen = account.control("stats")["operations"]
    tokens = costs()
    return [
        {
            "sync": sync,
            "operation": name,
            "calls": seen.get(name, {}).get("calls", 0),
            "tokens": seen.get(name, {}).get("tokens", 0),
            "least_calls": least_calls.get(name, 0),
            "least_tokens": least_calls.get(name, 0) * tokens.get(name, 0),
        }
        for name in sorted({*seen, *least_calls})
    ]


def least(account: Account, since: str) -> dict[str, int]:
    """Compute the fewest calls that bring everything updated since a time (all if empty)."""

    def updated(entity: str) -> list[dict[str, Any]]:
        found = account.truth(entity)
        return [
            r for r in found if r.get("_listed", True) and (r.get("update_time") or "") >= since
        ]

    deals = updated("deals")
    deals_read = {deal["id"] for deal in deals}
    if since:
        log = account.truth("deal_changelog")
        moved = {r["deal_id"] for r in log if r["time"] >= since and r["field_key"] in MOVES}
        deals_read &= moved | {deal["id"] for deal in deals if deal["add_time"] >= since}
    with_products = {row["deal_id"] for row in account.truth("deal_products")}
    leads = updated("leads")
    needed = {
        "getDeals": pages(d for d in deals if not d["is_archived"]),
        "getArchivedDeals": pages(d for d in deals if d["is_archived"]),
        "getDealChangelog": len(deals_read),
        "getDealsProducts": ceil(len(with_products & {deal["id"] for deal in deals}) / 100),
        "getPersons": pages(updated("persons")),
        "getOrganizations": pages(updated("organizations")),
        "getActivities": pages(updated("activities")),
        "getProducts": pages(updated("products")),
        "getLeads": pages(lead for lead in leads if not lead["is_archived"]),
        "getArchivedLeads": pages(lead for lead in leads if lead["is_archived"]),
        "getNotes": pages(updated("notes")),
        # once a day
        "getDealsSummary": 0 if since else 1,
    }
    return {operation: needed.get(operation, 1) for operation in costs()}


def pages(records: Iterable[Any]) -> int:
    """Return how many pages records fill; an empty list takes one call to be seen empty."""
    return max(1, ceil(sum(1 for _ in records) / PAGE))
