"""The tap alone, against a bare loop over the same pages."""

from __future__ import annotations

import time
from typing import Any

from bench.bench_env import LARGEST_BURST, NO_BURST, Account, BenchEnv, bare_loop
from bench.measuring import Command, run, step

TITLE = "The tap alone"
ENOUGH_ROWS = 100_000
PAGE = 500
#: A loop that waits for each page is as slow on the tenth page as on the hundredth.
BARE_PAGES = {0: 1_000_000, 50: 40, 300: 20}
#: At this latency the whole account is read too: how long it takes until all windows are read,
#: and how long the last one is alone, is much of a walk of 200 pages and little of one of 2,000.
SLOWEST = max(BARE_PAGES)
#: No further rounds of a latency once they took this long together.
TIMEOUT_SECONDS = 120.0


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Run the tap and the loops in turn, at each latency."""
    account = env.account(min(env.scale, ENOUGH_ROWS))
    rows = count_rows(env, env.tap(account))
    tiny = env.account(1)
    samples = []
    for milliseconds, pages in BARE_PAGES.items():
        contenders = [
            ("pipeboard", env.tap(account), rows),
            ("bare", bare_loop(account, "--pages", str(pages)), min(rows, pages * PAGE)),
        ]
        if not milliseconds:
            contenders += [
                ("bare_read_only", bare_loop(account, "--read-only"), rows),
                ("pipeboard_start", env.tap(tiny), 1),
                ("bare_start", bare_loop(tiny), 1),
            ]
        began = time.monotonic()
        for repetition in range(env.repeat):
            if time.monotonic() - began > TIMEOUT_SECONDS:
                break
            for name, command, count in contenders:
                about = {"contender": name, "repetition": repetition, "rows": count}
                samples.append(read(env, account, command, milliseconds, about))
    if env.scale > ENOUGH_ROWS:
        everything = env.account(env.scale, "endless")
        about = {"contender": "pipeboard_all", "repetition": 0, "rows": env.scale}
        for milliseconds in (0, SLOWEST):
            command = env.tap(everything)
            samples.append(read(env, everything, command, milliseconds, about))
    return samples


def read(
    env: BenchEnv,
    account: Account,
    command: Command,
    milliseconds: int,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Run one contender (described by `about`) on an account with that latency."""
    burst = LARGEST_BURST if milliseconds else None
    doing = f"{about['contender']} at {milliseconds} ms, {about['rows']:,} rows"
    with (
        step(f"{doing}, round {about['repetition'] + 1}"),
        account.slowed(milliseconds, burst or NO_BURST),
    ):
        measured = run([command], log=env.log, beside={"account": account.pid})
    return {**about, "milliseconds": milliseconds, "burst": burst, **measured.sample()}


def count_rows(env: BenchEnv, tap: Command) -> int:
    """Count what the tap brings; also its warm-up."""
    output = env.file("counted.jsonl")
    run([tap], log=env.log, output=output)
    with output.open("rb") as lines:
        rows = sum(line.startswith(b'{"type":"RECORD"') for line in lines)
    output.unlink()
    return rows
