"""The dispatcher alone, with a loader whose loads last as long as a test says."""

from __future__ import annotations

import logging
import threading
import time
import typing as t
from collections.abc import Callable, Iterator
from concurrent import futures

import pytest

from pipeboard_target_postgres import dispatcher
from pipeboard_target_postgres.dispatcher import BatchDispatcher, StuckError
from pipeboard_target_postgres.errors import UnavailableError
from pipeboard_target_postgres.termination import Stopped


class Loads:
    """Notes its loads; each waits for `may_end`, and then raises `error` if there is one."""

    def __init__(self) -> None:
        self.ran: list[tuple[list[str], bool]] = []
        self.threads: set[str] = set()
        self.began, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        self.error: Exception | None = None
        self.cancels = self.closed = 0
        self.ends_when_cancelled = True

    def run(self, batches: list[str], write_state: Callable[[], None] | None, final: bool) -> None:
        self.threads.add(threading.current_thread().name)
        self.ran.append((batches, final))
        self.wait()
        if write_state:
            write_state()

    def wait(self) -> str:
        self.began.set()
        assert self.may_end.wait(20)
        if self.error is not None:
            raise self.error
        return "done"

    def cancel(self) -> None:
        self.cancels += 1
        if self.ends_when_cancelled:
            self.may_end.set()

    def close(self) -> None:
        self.closed += 1


class Waiting(list[str]):
    """The batches of a sink that wait."""

    def take(self) -> t.Any:
        return self.pop(0) if self else None


class Bench:
    """A dispatcher with two sources, and the states that it wrote."""

    def __init__(self) -> None:
        self.loads, self.states = Loads(), list[bytes]()
        self.sources = [Waiting(), Waiting()]
        self.loading = BatchDispatcher(
            t.cast("t.Any", self.loads), lambda: t.cast("t.Any", self.sources),
            self.states.append, 100, 10.0, logging.getLogger("dispatch"),
        )  # fmt: skip

    def add(self, size: int = 1) -> None:
        self.sources[0].append("batch")
        self.loading.add(size)

    def hold(self) -> None:
        """Begin a load that does not end."""
        self.loads.may_end.clear()
        self.loads.began.clear()
        self.add()
        self.loading.flush()
        assert self.loads.began.wait(20)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loads.may_end.set()
    if made.loading._executor is not None:
        made.loading._executor.shutdown()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the dispatcher's clock forward."""
    ahead = [0.0]
    real = time.monotonic

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return real() + ahead[0]

    monkeypatch.setattr(dispatcher, "time", Clock)

    def move(seconds: float) -> None:
        ahead[0] += seconds

    return move


def test_records_wait_for_their_size_or_their_age(
    bench: Bench, clock: Callable[[float], None]
) -> None:
    loading, loads = bench.loading, bench.loads
    bench.add(60)
    bench.add(39)
    clock(9.0)
    loading.tick()
    assert not loads.ran, "neither 100 bytes nor 10 seconds"
    bench.add(1)
    loading.tick()
    loading.join()
    assert loads.ran == [(["batch"], False)]
    bench.sources[0].clear()
    bench.add(99)
    loading.tick()
    assert len(loads.ran) == 1, "the bytes of a batch count once, and so does its age"
    clock(9.0)
    bench.add(0)
    clock(1.0)
    loading.tick()
    loading.join()
    assert len(loads.ran) == 2, "the oldest record counts"
    assert all(name.startswith("load") for name in loads.threads)
    assert len(loads.threads) == 1


def test_the_reader_waits_as_long_as_nothing_is_due(
    bench: Bench, clock: Callable[[float], None]
) -> None:
    loading = bench.loading
    assert loading.wait_seconds() is None
    loading.state(b"1")
    assert loading.wait_seconds() == 0.0
    bench.add()
    assert 9.0 < t.cast("float", loading.wait_seconds()) <= 10.0
    clock(4.0)
    assert 5.0 < t.cast("float", loading.wait_seconds()) <= 6.0
    clock(9.0)
    assert loading.wait_seconds() == 0.0
    bench.hold()
    assert loading.wait_seconds() == 1.0
    loading.state(b"2")
    assert loading.wait_seconds() == 0.05, "that state needs nothing but the end of the load"
    bench.add()
    assert loading.wait_seconds() == 1.0


def test_a_state_is_written_after_the_records_before_it(bench: Bench) -> None:
    loading, loads = bench.loading, bench.loads
    loading.state(b"1")
    loading.tick()
    loading.join()
    assert (bench.states, loads.ran) == ([b"1"], [([], False)]), "no record waits"
    loading.tick()
    assert len(loads.ran) == 1
    bench.add()
    loading.state(b"2")
    loading.tick()
    assert len(loads.ran) == 1
    bench.sources[1].append("another")
    bench.hold()
    loading.state(b"3")
    loading.tick()
    assert bench.states == [b"1"], "a load is running"
    loads.may_end.set()
    loading.join()
    assert bench.states == [b"1", b"2"]
    assert loads.ran[1] == (["batch", "another"], False)
    loading.tick()
    loading.join()
    assert bench.states == [b"1", b"2", b"3"]


def test_a_flush_without_records_loads_nothing_but_at_the_end(bench: Bench) -> None:
    bench.loading.flush(wait=True)
    assert not bench.loads.ran
    assert bench.loading._executor is None
    bench.loading.flush(wait=True, final=True)
    assert bench.loads.ran == [([], True)]


def test_a_flush_waits_for_the_load_if_it_is_told_to(bench: Bench) -> None:
    bench.hold()
    assert bench.loading._job is not None
    bench.loads.may_end.set()
    bench.sources[0] = Waiting(["next"])
    bench.loading.flush(wait=True)
    assert bench.loading._job is None
    assert [batches for batches, _ in bench.loads.ran] == [["batch"], ["next"]]


def test_other_work_waits_for_the_load_and_returns_its_result(bench: Bench) -> None:
    order = []
    bench.hold()
    threading.Timer(0.05, lambda: (order.append("load"), bench.loads.may_end.set())).start()
    assert bench.loading.call(lambda: order.append("work") or "result") == "result"
    assert order == ["load", "work"]
    assert bench.loading.join() is None


def test_after_a_failure_no_other_work_begins(bench: Bench) -> None:
    bench.loads.error = ValueError("refused")
    bench.add()
    bench.loading.state(b"1")
    with pytest.raises(ValueError, match="refused"):
        bench.loading.flush(wait=True)
    bench.loads.error = None
    for work in (lambda: bench.loading.call(lambda: None), bench.loading.flush):
        bench.add()
        with pytest.raises(ValueError, match="refused"):
            work()
    assert len(bench.loads.ran) == 1
    assert not bench.states


def test_a_failure_is_raised_by_the_next_tick(bench: Bench) -> None:
    bench.loads.error = ValueError("refused")
    bench.add(100)
    bench.loading.tick()
    job = t.cast("t.Any", bench.loading._job)
    with pytest.raises(ValueError, match="refused"):
        job.result(20)
    with pytest.raises(ValueError, match="refused"):
        bench.loading.tick()


def test_a_long_load_is_logged_and_then_cancelled(
    bench: Bench,
    clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(dispatcher, "_POLL_SECONDS", 0.001)
    bench.hold()

    def wait(jobs: t.Any, timeout: float) -> None:
        assert jobs == [bench.loading._job]
        if timeout == 0.001:
            clock(50.0)
        else:
            futures.wait(jobs, timeout)

    monkeypatch.setattr(dispatcher, "wait", wait)
    bench.loads.error = RuntimeError("canceling statement due to user request")
    with caplog.at_level(logging.INFO), pytest.raises(UnavailableError) as raised:
        bench.loading.join()
    assert str(raised.value) == (
        "A load ran for 3600 s and was cancelled; nothing is lost, run again."
    )
    assert isinstance(raised.value.__cause__, RuntimeError)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        f"Waiting for the database since {seconds} s; the load is cancelled after 3600 s."
        for seconds in range(100, 3601, 100)
    ], "at most once a minute"
    assert bench.loads.cancels == 1


def test_a_cancelled_load_that_ends_well_is_no_failure(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOAD_SECONDS", 0.0)
    bench.loads.may_end.clear()
    assert bench.loading.call(bench.loads.wait) == "done"
    assert bench.loads.cancels == 1
    bench.loading.call(lambda: None)


def test_a_load_that_cannot_be_cancelled_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LOAD_SECONDS", 0.0)
    monkeypatch.setattr(dispatcher, "CANCEL_SECONDS", 0.3)
    monkeypatch.setattr(dispatcher, "wait", lambda jobs, timeout: futures.wait(jobs, timeout / 50))
    bench.loads.ends_when_cancelled = False
    bench.hold()
    with pytest.raises(StuckError):
        bench.loading.join()
    assert bench.loads.cancels > 1, "between two statements a cancel has no effect"
    bench.loading.close()
    assert bench.loading._executor is None
    assert bench.loads.closed == 0, "its session is at work"


def test_a_stop_loads_what_was_read(bench: Bench) -> None:
    bench.hold()
    bench.add()
    bench.loading.state(b"1")
    threading.Timer(0.05, bench.loads.may_end.set).start()
    bench.loading.stop(Stopped(15, time.monotonic()))
    assert [batches for batches, _ in bench.loads.ran] == [["batch"], ["batch"]]
    assert bench.states == [b"1"]
    assert bench.loads.cancels == 0
    bench.loading.close()
    assert bench.loads.closed == 1


def test_a_stop_cancels_other_work_at_once_if_no_record_waits(bench: Bench) -> None:
    bench.loads.may_end.clear()
    bench.loads.error = RuntimeError("cancelled")
    bench.loading._submit(bench.loads.wait)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="cancelled"):
        bench.loading.stop(Stopped(15, began))
    assert time.monotonic() - began < 3
    assert bench.loads.cancels == 1


@pytest.mark.parametrize("loads", [True, False], ids=["a load", "other work"])
def test_a_stop_waits_for_records_before_it_cancels(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, loads: bool
) -> None:
    monkeypatch.setattr(dispatcher, "STOP_SECONDS", 0.3)
    began = time.monotonic()
    if loads:
        bench.hold()
    else:
        bench.loads.may_end.clear()
        bench.loading._submit(bench.loads.wait)
        bench.add()
    bench.loading.stop(Stopped(15, began))
    assert 0.3 <= time.monotonic() - began < 4
    assert bench.loads.cancels >= 1


def test_closing_before_any_work_closes_the_session(bench: Bench) -> None:
    bench.loading.close()
    assert bench.loads.closed == 1
