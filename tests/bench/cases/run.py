"""The whole `meltano run` of deals: ours, the SDK's tap with the stock loader, and a plain pipe."""

from __future__ import annotations

from typing import Any

from bench.ground import Account, Ground
from bench.loaders import STOCK_SETTINGS
from bench.measuring import BenchError, step
from bench.pipelines import Ours, Piped, Rival

TITLE = "The whole run"
ENOUGH_ROWS = 100_000
MOST_ROWS = {"stock_default": 6_000, "stock_best": 20_000}


def measure(ground: Ground) -> list[dict[str, Any]]:
    """Run the pipelines in turn; an account of one deal shows what starting costs."""
    rows = min(ground.scale, ENOUGH_ROWS)
    best = STOCK_SETTINGS[ground.best_settings]
    contenders: list[tuple[Ours | Rival, int]] = [
        (Ours(), rows),
        (Piped("pipe"), rows),
        (Rival("stock_best", best, tuned=True), min(rows, MOST_ROWS["stock_best"])),
        (Rival("stock_default", {}, tuned=False), min(rows, MOST_ROWS["stock_default"])),
    ]
    for pipeline, _ in contenders:
        # Meltano makes its tables in the first run, and Python its compiled modules.
        with step(f"{pipeline.name}, warm-up"):
            timed(ground, pipeline, ground.account(1), "warm-up", 0)
    samples = []
    for repetition in range(ground.repeat):
        for pipeline, deals in contenders:
            for phase, account in (("start", ground.account(1)), ("first", ground.account(deals))):
                with step(f"{pipeline.name}, {account.deals:,} deals, round {repetition + 1}"):
                    samples.append(timed(ground, pipeline, account, phase, repetition))
    return samples


def timed(
    ground: Ground, pipeline: Ours | Rival, account: Account, phase: str, repetition: int
) -> dict[str, Any]:
    """Run one pipeline into nothing; check that the deals are there."""
    measured = pipeline.run(ground, account)
    rows = pipeline.rows(ground)
    pipeline.forget(ground)
    # Some of the deals that an account was asked for are deleted, merged or archived in it.
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
