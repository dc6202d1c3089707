"""Results come in order, and a bounded number of requests runs at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tap_runs import Output

from tap_pipedrive.api.prefetch import Prefetcher

Sync = Callable[..., Output]


@given(st.lists(st.integers(), unique=True, max_size=30), st.integers(1, 8), st.data())
def test_each_request_is_sent_once_and_in_order(
    questions: list[int], width: int, data: st.DataObject
) -> None:
    requested: list[int] = []
    under_way, most = [0], [0]
    lock = threading.Lock()

    def ask(question: int) -> int:
        with lock:
            requested.append(question)
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        with lock:
            under_way[0] -= 1
        return question * 2

    prefetcher = Prefetcher(ask, width)
    prefetcher.expect(questions)
    taken = data.draw(st.integers(0, len(questions)))
    assert [prefetcher.result(q) for q in questions[:taken]] == [q * 2 for q in questions[:taken]]
    prefetcher.close()
    assert len(requested) == len(set(requested)) <= taken + width
    assert most[0] <= width


def test_a_failure_is_raised_in_its_turn() -> None:
    def ask(question: int) -> int:
        if question == 2:
            msg = "two"
            raise ValueError(msg)
        return question

    prefetcher = Prefetcher(ask, 4)
    prefetcher.expect([1, 2, 3])
    assert prefetcher.result(1) == 1
    with pytest.raises(ValueError, match="two"):
        prefetcher.result(2)
    assert prefetcher.result(3) == 3
    assert prefetcher.result(99) == 99, "nobody expected this one"
    prefetcher.close()


def test_requests_overlap() -> None:
    together = threading.Barrier(5, timeout=20)
    prefetcher = Prefetcher(lambda _: together.wait(), 5)
    prefetcher.expect(range(10))
    for question in range(10):
        prefetcher.result(question)  # each answer waits until five are under way
    prefetcher.close()


def test_the_width_changes_no_record(simulator: Any, sync: Sync) -> None:
    one_by_one = sync(calls_ahead=1)
    side_by_side = sync(calls_ahead=8)
    for stream, records in one_by_one.records.items():
        assert side_by_side.records[stream] == records, stream
