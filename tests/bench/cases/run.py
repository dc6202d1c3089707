"""The whole `meltano run` of deals: Pipeboard, SDK tap with stock loader, and a plain pipe."""

from __future__ import annotations

from typing import Any

from bench.bench_env import Account, BenchEnv
from bench.loaders import STOCK_SETTINGS
from bench.measuring import BenchError, step
from bench.pipelines import Baseline, Pipeboard, Piped

TITLE = "The whole run"
ENOUGH_ROWS = 100_000
MOST_ROWS = {"stock_default": 6_000, "stock_best": 20_000}


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Run the pipelines in turn; an account of one deal shows what starting costs."""
    rows = min(env.scale, ENOUGH_ROWS)
    best = STOCK_SETTINGS[env.best_settings]
    contenders: list[tuple[Pipeboard | Baseline, int]] = [
        (Pipeboard(), rows),
        (Piped("pipe"), rows),
        (Baseline("stock_best", best, tuned=True), min(rows, MOST_ROWS["stock_best"])),
        (Baseline("stock_default", {}, tuned=False), min(rows, MOST_ROWS["stock_default"])),
    ]
    for pipeline, _ in contenders:
        # Meltano makes its tables in the first run, and Python its compiled modules.
        with step(f"{pipeline.name}, warm-up"):
            timed(env, pipeline, env.account(1), "warm-up", 0)
    samples = []
    for repetition in range(env.repeat):
        for pipeline, deals in contenders:
            for phase, account in (("start", env.account(1)), ("first", env.account(deals))):
                with step(f"{pipeline.name}, {account.deals:,} deals, round {repetition + 1}"):
                    samples.append(timed(env, pipeline, account, phase, repetition))
    return samples


def timed(
    env: BenchEnv, pipeline: Pipeboard | Baseline, account: Account, phase: str, repetition: int
) -> dict[str, Any]:
    """Run one pipeline into nothing; check that the deals are there."""
    measured = pipeline.run(env, account)
    rows = pipeline.rows(env)
    pipeline.forget(env)
    # Some of the generated deals are deleted, merged or archived.
    if rows < 0.9 * account.deals:
        msg = f"{pipeline.name} brought {rows} of {account.deals} deals"
        raise BenchError(msg)
    return {
        "contender": pipeline.name,
        "phase": phase,
        "repetition": repetition,
        "rows": rows,
        **measured.sample(),
    }
