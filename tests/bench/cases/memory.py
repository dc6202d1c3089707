"""Peak memory of a whole run at a tenth of the deals and at all of them, and how long both take."""

from __future__ import annotations

from typing import Any

from bench.bench_env import BenchEnv
from bench.cases.run import timed
from bench.measuring import step
from bench.pipelines import Pipeboard

TITLE = "Memory"


def measure(env: BenchEnv) -> list[dict[str, Any]]:
    """Run both sizes once: a peak does not vary as a time does.

    The account is of the endless kind at both, so that the deals are alike.
    """
    samples = []
    for deals in (env.scale // 10, env.scale):
        with step(f"meltano run, {deals:,} deals"):
            account = env.account(deals, "endless")
            samples.append(timed(env, Pipeboard(), account, "first", 0) | {"deals": deals})
    return samples
