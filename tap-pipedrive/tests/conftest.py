"""Fixtures: a simulated Pipedrive account, and a run of the tap with its parsed output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from pipedrive_simulator.testing import running_simulator
from tap_runs import Output, run_tap

# How long an example takes is the machine's business.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture
def simulator() -> Iterator[Any]:
    """A fresh account of 120 deals, which a test may change."""
    with running_simulator(deals=120, seed=7) as running:
        yield running


@pytest.fixture
def config(simulator: Any) -> dict[str, Any]:
    """Settings that point the tap at the simulated account."""
    return {"api_token": simulator.token, "api_url": simulator.url}


@pytest.fixture
def sync(config: dict[str, Any]) -> Callable[..., Output]:
    """Run the tap against the simulated account."""

    def run(
        state: dict[str, Any] | None = None, only: set[str] | None = None, **settings: Any
    ) -> Output:
        return run_tap({**config, **settings}, state, only)

    return run
