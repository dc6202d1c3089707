"""Peak memory of a whole run at a tenth of the deals and at all of them, and how long both take."""

from __future__ import annotations

from typing import Any

from bench.cases.run import timed
from bench.ground import Ground
from bench.measuring import step
from bench.pipelines import Ours

TITLE = "Memory"


def measure(ground: Ground) -> list[dict[str, Any]]:
    """Run both sizes once: a peak does not vary as a time does.

    The account is of the endless kind at both, so that the deals are alike.
    """
    samples = []
    for deals in (ground.scale // 10, ground.scale):
        with step(f"meltano run, {deals:,} deals"):
            account = ground.account(deals, "endless")
            samples.append(timed(ground, Ours(), account, "first", 0) | {"deals": deals})
    return samples
