"""The loader alone: first load, the same again, and the same with a tenth changed."""

from __future__ import annotations

from typing import Any

from bench.bench_env import BenchEnv
from bench.loaders import (
    MARK,
    SCHEMA,
    STOCK_SETTINGS,
    Deals,
    Loader,
    floor,
    pipeboard,
    pipelinewise,
    stock,
)
from bench.measuring import BenchError, step

TITLE = "The loader alone"
#: The most rows a slow one gets: what it takes per row does not depend on it (see `half`).
MOST_ROWS = {
    **{"stock_default": 6_000, "stock_best": 20_000, "pipelinewise": 12_000},
    **{"floor": 100_000, "floor_decoding": 100_000},
}
#: A comparison needs no more than this; the million is a case of its own.
ENOUGH_ROWS = 100_000


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Run every loader in turn, `repeat` times."""
    rows = min(env.scale, ENOUGH_ROWS)
    deals = Deals(env, env.singer_file(rows))
    rows = len(deals.lines()[1])
    samples = find_best_settings(env, deals, min(rows, 10_000))
    best = min((s for s in samples if s["phase"] == "settings"), key=lambda s: float(s["seconds"]))[
        "contender"
    ]
    env.best_settings = best
    contenders = [
        pipeboard(rows),
        floor(few("floor", rows), piped=False),
        floor(few("floor_decoding", rows), piped=True),
        stock("stock_best", f"stock: {best}", few("stock_best", rows), STOCK_SETTINGS[best]),
        stock("stock_default", "stock, defaults", few("stock_default", rows), {}),
        pipelinewise(few("pipelinewise", rows)),
    ]
    for repetition in range(env.repeat):
        for loader in contenders:
            with step(f"{loader.name}, {loader.rows:,} rows, round {repetition + 1}"):
                samples += one_round(env, deals, loader, repetition)
    return samples


def few(name: str, rows: int) -> int:
    """Return how many of the rows a slow loader gets."""
    return min(rows, MOST_ROWS[name])


def find_best_settings(env: BenchEnv, deals: Deals, rows: int) -> list[dict[str, Any]]:
    """Try settings of the stock loader."""
    with step("warm-up"):
        for loader in (stock("tried", "warm-up", 1, {}), pipeboard(1), pipelinewise(1)):
            timed(env, deals, loader, "warm-up", 0, 1)
            env.server.drop(SCHEMA, "ops")
    samples = []
    for name, settings in STOCK_SETTINGS.items():
        with step(f"stock with {name}, {rows:,} rows"):
            loader = stock("tried", name, rows, settings)
            samples.append(timed(env, deals, loader, "settings", 0, rows) | {"contender": name})
        env.server.drop(SCHEMA)
    return samples


def one_round(env: BenchEnv, deals: Deals, loader: Loader, repetition: int) -> list[dict[str, Any]]:
    """Load into a fresh schema three times; before that, see what starting alone costs."""
    samples = []
    for phase, rows in (("start", 1), ("half", loader.rows // 2)):
        if phase == "start" or (repetition == 0 and loader.name in MOST_ROWS):
            samples.append(timed(env, deals, loader, phase, repetition, rows))
            env.server.drop(SCHEMA, "ops")
    for phase in ("first", "unchanged", "changed"):
        samples.append(timed(env, deals, loader, phase, repetition, loader.rows))
    env.server.drop(SCHEMA, "ops")
    return samples


def timed(
    env: BenchEnv, deals: Deals, loader: Loader, phase: str, repetition: int, rows: int
) -> dict[str, Any]:
    """Load once, and check that what should be there is there."""
    changed = phase == "changed"
    file = deals.changed(rows) if changed else deals.first(rows)
    measured = loader.load(env, file)
    there = env.server.count(SCHEMA, "deals")
    marked = env.server.count(SCHEMA, "deals", f"title = '{MARK}'") if changed else 0
    if there != rows or (changed and marked != -(-rows // 10)):
        msg = f"{loader.title} left {there} of {rows} rows, {marked} of them changed ({phase})"
        raise BenchError(msg)
    return {
        "contender": loader.name,
        "title": loader.title,
        "phase": phase,
        "repetition": repetition,
        "rows": rows,
        **measured.sample(),
    }
