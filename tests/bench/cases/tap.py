"""The tap alone, against a bare loop over the same pages."""

from __future__ import annotations

import time
from typing import Any

from bench.ground import LARGEST_BURST, NO_BURST, Ground, bare_loop
from bench.measuring import Command, run, step

TITLE = "The tap alone"
ENOUGH_ROWS = 100_000
PAGE = 500
#: A loop that waits for each page is as slow on the tenth page as on the hundredth.
BARE_PAGES = {0: 1_000_000, 50: 40, 300: 20}
#: At this latency the whole account is read too: how long it takes until all windows are at work,
#: and how long the last one is alone, is much of a walk of 200 pages and little of one of 2,000.
SLOWEST = max(BARE_PAGES)
#: No further rounds of a latency once they took this long together.
PATIENCE_SECONDS = 120.0


def measure(ground: Ground) -> list[dict[str, Any]]:
    """Run the tap and the loops in turn, at each latency."""
    account = ground.account(min(ground.scale, ENOUGH_ROWS))
    rows = count_rows(ground, ground.tap(account))
    tiny = ground.account(1)
    samples = []
    for milliseconds, pages in BARE_PAGES.items():
        contenders = [
            ("ours", ground.tap(account), rows),
            ("bare", bare_loop(account, "--pages", str(pages)), min(rows, pages * PAGE)),
        ]
        if not milliseconds:
            contenders += [
                ("bare_read_only", bare_loop(account, "--read-only"), rows),
                ("ours_start", ground.tap(tiny), 1),
                ("bare_start", bare_loop(tiny), 1),
            ]
        burst = LARGEST_BURST if milliseconds else NO_BURST
        began = time.monotonic()
        for repetition in range(ground.repeat):
            if time.monotonic() - began > PATIENCE_SECONDS:
                break
            for name, command, count in contenders:
                doing = f"{name} at {milliseconds} ms, {count:,} rows, round {repetition + 1}"
                with step(doing), account.slowed(milliseconds, burst):
                    measured = run([command], log=ground.log, beside={"account": account.pid})
                about = {"contender": name, "repetition": repetition, "rows": count}
                samples.append(about | delay(milliseconds) | measured.sample())
    if ground.scale > ENOUGH_ROWS:
        samples += measure_all(ground)
    return samples


def measure_all(ground: Ground) -> list[dict[str, Any]]:
    """Run the tap over all deals, without a latency and at the longest."""
    account = ground.account(ground.scale, "endless")
    samples = []
    for milliseconds in (0, SLOWEST):
        doing = f"ours at {milliseconds} ms, {ground.scale:,} rows"
        burst = LARGEST_BURST if milliseconds else NO_BURST
        with step(doing), account.slowed(milliseconds, burst):
            measured = run([ground.tap(account)], log=ground.log, beside={"account": account.pid})
        about = {"contender": "ours_all", "repetition": 0, "rows": ground.scale}
        samples.append(about | delay(milliseconds) | measured.sample())
    return samples


def delay(milliseconds: int) -> dict[str, int | None]:
    """Say how late the account answered, and how many calls it granted in two seconds."""
    return {"milliseconds": milliseconds, "burst": LARGEST_BURST if milliseconds else None}


def count_rows(ground: Ground, tap: Command) -> int:
    """Count what the tap brings; also its warm-up."""
    output = ground.file("counted.jsonl")
    run([tap], log=ground.log, output=output)
    with output.open("rb") as lines:
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    output.unlink()
    return rows
