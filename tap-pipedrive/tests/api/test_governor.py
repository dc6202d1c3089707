"""Limits are respected in one process, and over all processes that share a Redis."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from pipedrive_simulator.testing import running_simulator
from tap_runs import PYTHON
from valkey_server import Valkey, running_valkey

from tap_pipedrive.api.limits.governor import Governor
from tap_pipedrive.api.limits.redis_store import RedisStore
from tap_pipedrive.api.limits.store import LimitStore, LocalStore
from tap_pipedrive.errors import BudgetSpentError, ConfigurationError, SourceUnavailableError

DAY = "2026-06-15"


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with running_valkey() as running:
        yield running


@pytest.fixture(params=["memory", "folder", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, valkey: Valkey) -> LimitStore:
    if request.param == "redis":
        return RedisStore(valkey.url, tmp_path.name)
    return LocalStore(tmp_path if request.param == "folder" else None, "account")


def test_a_window_grants_its_limit_and_no_more(store: LimitStore) -> None:
    grants = [store.reserve(5, 0.3) for _ in range(7)]
    assert grants[:5] == [0.0] * 5
    assert all(0 < wait <= 0.3 for wait in grants[5:])
    time.sleep(max(grants[5:]) + 0.01)
    assert store.reserve(5, 0.3) == 0.0


def test_no_window_ever_holds_more_than_the_limit(store: LimitStore) -> None:
    granted: list[tuple[float, float]] = []
    lock = threading.Lock()

    def caller() -> None:
        for _ in range(6):
            while True:
                begun = time.monotonic()
                if (wait := store.reserve(8, 0.2)) == 0:
                    break
                time.sleep(wait)
            with lock:
                granted.append((time.monotonic(), begun))

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    granted.sort()
    assert len(granted) == 24
    # A grant happened somewhere between its beginning and its end, however busy the machine is.
    for first in range(len(granted) - 8):
        nine = granted[first : first + 9]
        assert nine[-1][0] - min(begun for _, begun in nine) > 0.199


def test_the_ledger_adds_up_by_day(store: LimitStore) -> None:
    assert store.tokens(DAY) == 0
    assert store.add_tokens(DAY, 10) == 10
    assert store.add_tokens(DAY, 20) == 30
    assert store.tokens(DAY) == 30
    assert store.tokens("2026-06-16") == 0
    assert store.add_tokens("2026-06-16", 5) == 5


def test_a_circuit_closes_after_its_time(store: LimitStore) -> None:
    assert store.circuit()[0] == 0.0
    store.open_circuit(0.2, "locked out")
    left, why = store.circuit()
    assert 0 < left <= 0.2
    assert why == "locked out"
    time.sleep(0.25)
    assert store.circuit()[0] == 0.0


def test_a_booking_returns_the_circuit(store: LimitStore) -> None:
    assert store.book(DAY, 10)[0] == 0.0
    store.open_circuit(60, "locked out")
    left, why = store.book(DAY, 20)
    assert 0 < left <= 60
    assert why == "locked out"
    assert store.tokens(DAY) == 30


def test_a_call_that_an_open_circuit_stops_costs_no_tokens(store: LimitStore) -> None:
    store.open_circuit(600, "locked out")
    with pytest.raises(SourceUnavailableError, match="locked out"):
        Governor(store).admit(20, DAY)
    assert store.tokens(DAY) == 0


def test_the_cache_expires_and_forgets(store: LimitStore) -> None:
    store.remember("fields", b"x", 0.2)
    store.remember("users", b"y", 60)
    assert store.recall("fields") == b"x"
    store.forget("users")
    assert store.recall("users") is None
    time.sleep(0.25)
    assert store.recall("fields") is None


def test_a_damaged_folder_counts_as_empty(tmp_path: Path) -> None:
    LocalStore(tmp_path, "a").add_tokens(DAY, 70)
    LocalStore(tmp_path, "a").open_circuit(60, "outage")
    again = LocalStore(tmp_path, "a")
    assert again.tokens(DAY) == 70
    assert again.circuit()[0] > 50
    (file,) = tmp_path.iterdir()
    for damage in ("{broken", "[]", '{"day": "2026-06-15", "tokens": 70}'):
        file.write_text(damage)
        assert LocalStore(tmp_path, "a").tokens(DAY) == 0
        assert LocalStore(tmp_path, "a").add_tokens(DAY, 5) == 5


def test_a_day_noted_as_spent_admits_no_call_not_even_one_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = LocalStore()
    governor = Governor(store, burst=1)
    governor.admit(10, DAY)

    def learn_of_a_spent_day_meanwhile(_: float) -> None:
        governor.note_spent(DAY)

    monkeypatch.setattr(
        "tap_pipedrive.api.limits.governor.time.sleep", learn_of_a_spent_day_meanwhile
    )
    for _ in range(2):
        with pytest.raises(BudgetSpentError):
            governor.admit(10, DAY)
    assert store.tokens(DAY) == 10, "calls that were not made are not booked"
    monkeypatch.setattr("tap_pipedrive.api.limits.governor.WINDOW_SECONDS", 0.0)
    governor.admit(10, "2026-06-16")


def test_a_job_stops_at_its_share_and_the_hot_sync_goes_on() -> None:
    store = LocalStore()
    backfill = Governor(store, daily_tokens=100, share=0.7)
    hot = Governor(store, daily_tokens=100)
    for _ in range(7):
        backfill.admit(10, DAY)
    with pytest.raises(BudgetSpentError, match="70%"):
        backfill.admit(10, DAY)
    for _ in range(3):
        hot.admit(10, DAY)
    with pytest.raises(BudgetSpentError):
        hot.admit(10, DAY)
    hot.admit(10, "2026-06-16")


def test_the_servers_count_of_tokens_is_used() -> None:
    governor = Governor(LocalStore(), share=0.5)
    assert governor.room(DAY) is None
    governor.observe(
        {"x-daily-ratelimit-token-limit": "1000", "x-daily-ratelimit-token-remaining": "520"}
    )
    assert governor.room(DAY) == 20
    governor.admit(20, DAY)
    governor.observe({"x-daily-ratelimit-token-remaining": "500"})
    with pytest.raises(BudgetSpentError):
        governor.admit(1, DAY)


@pytest.mark.parametrize("odd", ["\u00b2", "-5", "1e3", "soon", "9" * 400, ""])
def test_a_header_without_a_number_is_ignored(odd: str) -> None:
    governor = Governor(LocalStore())
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-daily-ratelimit-token-remaining")
    governor.observe(dict.fromkeys(names, odd))
    assert governor.plan_remaining is None
    governor.admit(1, DAY)


def test_the_governor_waits_only_for_a_short_circuit() -> None:
    governor = Governor(LocalStore())
    governor.trip(600, "locked out")
    with pytest.raises(SourceUnavailableError, match="locked out"):
        governor.admit(1, DAY)
    governor.trip(0.1, "a hiccup")
    governor.admit(1, DAY)


def test_a_run_goes_on_without_redis(caplog: pytest.LogCaptureFixture) -> None:
    with running_valkey() as mortal:
        governor = Governor(RedisStore(mortal.url, "x"), daily_tokens=1000)
        governor.admit(10, DAY)
        mortal.kill()
        governor.admit(10, DAY)
        governor.admit(10, DAY)
    assert sum("Redis failed" in r.message for r in caplog.records) == 1


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """A server that answers every line with the same bytes; yields its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                for line in self.rfile:
                    if line.startswith(b"*"):
                        self.wfile.write(reply)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "reply",
    [
        b":7\r\n", b"+OK\r\n", b"+hello\r\n", b"*0\r\n", b"$3\r\nabc\r\n",
        b"*2\r\n:1\r\n:2\r\n", b"$2\r\n\xff\xfe\r\n", b"-WRONGTYPE of value\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)  # fmt: skip
def test_a_run_goes_on_with_a_redis_that_returns_nonsense(reply: bytes) -> None:
    with answering(reply) as url:
        for use in (
            lambda governor: governor.admit(10, DAY),
            lambda governor: governor.trip(5, "why"),
            lambda governor: governor.is_open,
            lambda governor: governor.remember("key", b"value", 60),
            lambda governor: governor.recall("key"),
            lambda governor: governor.forget("key"),
            lambda governor: governor.is_spent(DAY),
        ):
            use(Governor(RedisStore(url, "x"), daily_tokens=1000))


def test_a_run_goes_on_with_wrong_types_in_redis(valkey: Valkey) -> None:
    governor = Governor(RedisStore(f"{valkey.url}?decode_responses=True", "odd"), daily_tokens=1000)
    others = redis.Redis.from_url(valkey.url)
    governor.trip(0.01, "a hiccup")
    governor.remember("key", b"value", 60)
    assert governor.recall("key") == b"value"
    for key in ("burst", f"tokens:{DAY}", "circuit", "cache:key"):
        others.delete(f"pipeboard:odd:{key}")
        others.rpush(f"pipeboard:odd:{key}", "a list")
        governor = Governor(RedisStore(valkey.url, "odd"), daily_tokens=1000)
        governor.admit(10, DAY)
        governor.recall("key")
        others.delete(f"pipeboard:odd:{key}")


def test_a_damaged_cached_list_counts_as_absent(sync: Any, tmp_path: Path) -> None:
    sync(only={"users"}, state_dir=str(tmp_path))
    for file in tmp_path.glob("cache-*/*users.bin"):
        for damage in (b"", b"\xff", b"[1]", b"{}"):
            file.write_bytes(file.read_bytes()[:8] + damage)
            assert sync(only={"users"}, state_dir=str(tmp_path)).records["users"]


def test_an_unusable_state_dir_is_a_configuration_error(sync: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="state_dir"):
        sync(only={"users"}, state_dir=str(tmp_path / "file"))


def test_a_ledger_that_is_written_in_part_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that becomes full takes the first bytes of a text."""
    governor = Governor(LocalStore(tmp_path, "a"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, text: write(handle, text[:3]))
    with pytest.raises(ConfigurationError, match=r"state_dir.*No space left.*limits-a\.json"):
        governor.admit(10, DAY)


def run_taps(url: str, count: int, **settings: Any) -> list[subprocess.CompletedProcess[str]]:
    command = [PYTHON, "-m", "tap_pipedrive", "--config", "/dev/stdin"]
    config = json.dumps({"api_token": "demo-token", "api_url": url, **settings})
    running = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    threads = []
    results: list[subprocess.CompletedProcess[str]] = []

    def finish(process: subprocess.Popen[str]) -> None:
        out, err = process.communicate(config, timeout=120)
        results.append(subprocess.CompletedProcess(command, process.returncode, out, err))

    for process in running:
        threads.append(threading.Thread(target=finish, args=(process,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.long
def test_four_processes_share_a_window_of_twenty(valkey: Valkey) -> None:
    with running_simulator(deals=12, frozen=False, now=None, burst=20, process=True) as simulator:
        results = run_taps(simulator.url, 4, redis_url=valkey.url)
        stats = simulator.control("GET", "stats")
    assert [r.returncode for r in results] == [0] * 4, results[0].stderr[-800:]
    assert stats["calls"] > 100
    assert stats["served_429"] == 0
    assert 10 < stats["max_in_2s"] <= 20


def test_a_clock_that_was_ahead_keeps_nothing_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may start with a wrong clock, which is put right later."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 400 * 86400)
    LocalStore(tmp_path, "a").open_circuit(60, "outage")
    LocalStore(tmp_path, "a").remember("fresh", b"1", 3600)
    LocalStore(tmp_path, "a").remember("for ever", b"2", 500 * 86400)
    monkeypatch.setattr(time, "time", lambda: now)
    store = LocalStore(tmp_path, "a")
    assert store.circuit()[0] == 0.0
    assert store.recall("fresh") is None
    assert store.recall("for ever") == b"2"


def test_a_value_that_an_earlier_version_wrote_is_read(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, "a")
    store.remember("key", b"value", 60)
    [file] = tmp_path.glob("cache-a/*")
    for seconds, found in ((60, b"value"), (-60, None)):
        file.write_bytes(struct.pack("!d", time.time() + seconds) + b"value")
        assert LocalStore(tmp_path, "a").recall("key") == found
