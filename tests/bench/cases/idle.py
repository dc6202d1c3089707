"""A sync of an account where nothing happened, at 300 ms a page: lists one by one, and as shipped.

It is some twenty lists of a page each, so what it takes is how many round trips follow each other.
"""

from __future__ import annotations

from typing import Any

from bench.bench_env import LARGEST_BURST, BenchEnv
from bench.cases.calls import one_sync
from bench.measuring import step

TITLE = "An idle sync"
DEALS = 1_000
MILLISECONDS = 300
#: The setting lists_ahead; None leaves the default.
WAYS = {"one by one": 1, "as shipped": None}


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Sync once, then again with nothing new, each way in turn."""
    samples = []
    with env.another_account(min(env.scale, DEALS)) as account:
        with step("first sync"):
            state, _ = one_sync(env, account, None, "idle-first")
            account.control("clock", {"advance_seconds": 3600})
        with account.slowed(MILLISECONDS, LARGEST_BURST):
            for repetition in range(env.repeat):
                for way, ahead in WAYS.items():
                    with step(f"idle sync, {way}, round {repetition + 1}"):
                        settings = {} if ahead is None else {"lists_ahead": ahead}
                        _, measured = one_sync(env, account, state, "idle", **settings)
                    samples.append({"way": way, "repetition": repetition, **measured.sample()})
    return samples
