"""The counts of a run's calls."""

from __future__ import annotations

import sys
import threading
from functools import partial

import pytest

from tap_pipedrive.api.usage import ApiCalls


def test_an_endpoint_without_a_value_yet_has_no_quantiles() -> None:
    calls = ApiCalls()
    assert not calls._latencies["an entry that a thread has just made"]
    calls.answered("operation", 200, 0.5)
    assert calls.snapshot().quantiles() == {("operation", q): 0.5 for q in ("0.5", "0.95", "1.0")}


def test_counts_can_be_read_while_a_thread_counts_new_endpoints(
    request: pytest.FixtureRequest,
) -> None:
    request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
    sys.setswitchinterval(1e-6)  # the threads take turns within a loop
    calls = ApiCalls()

    def count() -> None:
        for nr in range(2000):
            calls.answered(f"operation{nr}", 200, 0.1)

    thread = threading.Thread(target=count)
    thread.start()
    while thread.is_alive():
        now = calls.snapshot()
        assert {quantile for _, quantile in now.quantiles()} <= {"0.5", "0.95", "1.0"}
        assert all(number == 1 for number in now.requests.values())
    thread.join()
    assert len(calls.snapshot().requests) == 2000
