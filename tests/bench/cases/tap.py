"""The tap alone, against a bare loop over the same pages."""

from __future__ import annotations

import time
from typing import Any

from bench.ground import LARGEST_BURST, NO_BURST, Account, Ground, bare_loop
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
        began = time.monotonic()
        for repetition in range(ground.repeat):
            if time.monotonic() - began > PATIENCE_SECONDS:
                break
            for name, command, count in contenders:
                about = {"contender": name, "repetition": repetition, "rows": count}
                samples.append(read(ground, account, command, milliseconds, about))
    if ground.scale > ENOUGH_ROWS:
        everything = ground.account(ground.scale, "endless")
        about = {"contender": "ours_all", "repetition": 0, "rows": ground.scale}
        for milliseconds in (0, SLOWEST):
            command = ground.tap(everything)
            samples.append(read(ground, everything, command, milliseconds, about))
    return samples


def read(
    ground: Ground,
    account: Account,
    command: Command,
    milliseconds: int,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Run one contender, told by `about`, over an account that answers that much later."""
    burst = LARGEST_BURST if milliseconds else None
    doing = f"{about['contender']} at {milliseconds} ms, {about['rows']:,} rows"
    with (
        step(f"{doing}, round {about['repetition'] + 1}"),
        account.slowed(milliseconds, burst or NO_BURST),
    ):
        measured = run([command], log=ground.log, beside={"account": account.pid})
    return {**about, "milliseconds": milliseconds, "burst": burst, **measured.sample()}


def count_rows(ground: Ground, tap: Command) -> int:
    """Count what the tap brings; also its warm-up."""
    output = ground.file("counted.jsonl")
    run([tap], log=ground.log, output=output)
    with output.open("rb") as lines:
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    output.unlink()
    return rows
