"""What the benchmark makes of its samples; and that what it measures is what happened."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as bench_main
from bench import arithmetic, report
from bench.__main__ import main
from bench.loaders import MARK, change
from bench.measuring import BenchError, Command, run


def load(contender: str, phase: str, rows: int, seconds: float, wal: int = 0) -> dict[str, Any]:
    return {
        **{"contender": contender, "title": contender, "phase": phase, "repetition": 0},
        **{"rows": rows, "seconds": seconds, "wal_bytes": wal, "postgres_cpu_seconds": 0.5},
        **{"cpu_seconds": {"loader": 1.0}, "peak_bytes": {"loader": 2**20}},
    }


def test_a_slow_rival_is_charged_its_start_once() -> None:
    """100 rows in 2 s of which 1 s is starting: 10,000 rows take 101 s, not 200 s."""
    samples = [
        load("pipeboard", "first", 10_000, 10.1),
        load("baseline", "first", 100, 2.0),
        load("baseline", "start", 1, 1.0),
    ]
    assert arithmetic.loader_rate(samples, "baseline", "first") == pytest.approx(10_000 / 101)
    assert arithmetic.loader_rate(samples, "pipeboard", "first") == pytest.approx(10_000 / 10.1)


def test_medians_count_not_means() -> None:
    samples = [load("pipeboard", "first", 100, seconds) for seconds in (1.0, 1.0, 50.0)]
    samples += [load("floor", "first", 100, seconds) for seconds in (0.5, 0.5, 0.1)]
    assert arithmetic.ratios({"loader": samples})["loader_vs_floor"] == 0.5


def test_what_was_not_measured_is_none() -> None:
    found = arithmetic.ratios({})
    for name in ("loader_vs_stock_default", "tap_vs_floor", "run_vs_stock_best"):
        assert found[name] is None
    assert found["peak_memory_1m_vs_100k"] is None


def test_the_latency_is_judged_by_what_the_limit_allows() -> None:
    def tap(milliseconds: int, rows: int, burst: int | None) -> dict[str, Any]:
        sample = {"contender": "pipeboard", "milliseconds": milliseconds, "burst": burst}
        return {**sample, "rows": rows, "seconds": 1.0}

    # 120 calls in two seconds are 30,000 rows a second: below the 40,000 without latency.
    samples = [tap(0, 40_000, None), tap(50, 10_000, 120), tap(300, 27_000, 120)]
    assert arithmetic.ratios({"tap": samples})["tap_300ms_vs_reachable"] == 0.9
    assert arithmetic.ratios({"tap": samples})["tap_300ms_vs_reachable_all"] is None
    # Pipeboard's is the lower one here.
    samples[0]["rows"] = 27_000
    assert arithmetic.ratios({"tap": samples})["tap_300ms_vs_reachable"] == 1.0


@pytest.mark.parametrize(
    ("large", "name"), [(1_000_000, "peak_memory_1m_vs_100k"), (500, "peak_memory_all_vs_tenth")]
)
def test_memory_is_the_worse_of_tap_and_loader(large: int, name: str) -> None:
    samples = [
        {"deals": large // 10, "peak_bytes": {"tap": 100, "loader": 100, "meltano": 1}},
        {"deals": large, "peak_bytes": {"tap": 101, "loader": 109, "meltano": 9}},
    ]
    assert arithmetic.ratios({"memory": samples})[name] == 1.09


def test_what_is_busy_past_the_start() -> None:
    def run_of(phase: str, seconds: float, tap: float) -> dict[str, Any]:
        return {**load("pipeboard", phase, 100, seconds), "cpu_seconds": {"tap": tap}}

    start, first = [run_of("start", 2.0, 1.0)], [run_of("first", 12.0, 10.5)]
    shares = arithmetic.busy_past_start(first, start)
    assert shares["tap"] == pytest.approx(0.95)
    assert "`tap` (95%): it is the bottleneck" in report.bottleneck(first, start, 2)
    assert arithmetic.busy_past_start([run_of("first", 2.5, 1.0)], start) == {}


def test_one_changed_deal_differs_where_it_should() -> None:
    deal = {"id": 7, "title": "a", "value": None, "update_time": "2026-01-01T00:00:00Z", "x": "é"}
    line = json.dumps({"type": "RECORD", "stream": "deals", "record": deal}).encode() + b"\n"
    found = json.loads(change(line))["record"]
    assert found == {**deal, "title": MARK, "value": 1, "update_time": "2026-06-16T08:00:00Z"}


def test_processor_and_memory_are_those_of_the_process(tmp_path: Path) -> None:
    spend = (
        "import time; block = b'x' * (64 << 20); end = time.process_time() + 0.5\n"
        "while time.process_time() < end: pass"
    )
    commands = [
        Command("idle", [sys.executable, "-c", "import time; time.sleep(0.7)"]),
        Command("busy", [sys.executable, "-c", spend]),
    ]
    measured = run(commands, log=tmp_path / "log")
    idle, busy = measured.processes["idle"], measured.processes["busy"]
    assert busy.cpu_seconds > 0.5 > idle.cpu_seconds
    assert busy.peak_bytes > 64 << 20 > idle.peak_bytes
    assert measured.seconds > 0.5


def test_a_contender_that_fails_fails_the_benchmark(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such table')"]
    with pytest.raises(BenchError, match=r"baseline ended with code 1:\n  no such table"):
        run([Command("baseline", argv)], log=tmp_path / "log")


@pytest.mark.parametrize("argv", [["--only", "lunch"], ["--scale", "5"], ["--repeat", "0"]])
def test_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 64
    assert capsys.readouterr().err.startswith("bench: ")


def test_a_case_measured_again_says_of_which_commit_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_main, "RESULTS", tmp_path)
    found = {"machine": {}, "scale": 100, "repeat": 1, "seconds": 60}
    before = {**found, "commit": "old", "samples": {"loader": ["l"], "dbt": ["d"]}}
    (tmp_path / "latest.json").write_text(json.dumps(before))
    now = {**found, "commit": "new", "samples": {"dbt": ["D"]}}
    joined = bench_main.with_published(now)
    assert joined["samples"] == {"loader": ["l"], "dbt": ["D"]}
    assert (joined["commit"], joined["commits"]) == ("old", {"dbt": "new"})
    elsewhere = {**now, "machine": {"cpu": "another"}}
    assert bench_main.with_published(elsewhere) == elsewhere
