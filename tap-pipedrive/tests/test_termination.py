"""After SIGTERM and SIGINT there is a valid state, a report and the signal's exit code."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from tap_runs import MEASURED, PYTHON, Output, run_tap

#: Seconds in which a tap must end, on a busy machine.
SOON = 8.0
_WITH_TIMEOUT = (
    "from tap_pipedrive import termination; termination.TIMEOUT_SECONDS = 1.0; "
    "from tap_pipedrive.main import main; main()"
)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with running_simulator(deals=150, seed=11) as running:
        running.account.advance_clock(600)
        yield running


@pytest.fixture
def simulator(server: RunningSimulator) -> Iterator[RunningSimulator]:
    server.control("POST", "stats/reset")
    yield server
    server.control("DELETE", "faults")
    server.api.latency = 0.0


@contextlib.contextmanager
def running_tap(
    simulator: RunningSimulator,
    report: Path,
    *command: str,
    stdout: int | IO[bytes] = subprocess.PIPE,
    **settings: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the tap as a separate process, which is killed at the end if it still runs."""
    config = {"api_token": simulator.token, "api_url": simulator.url, **settings}
    process = subprocess.Popen(
        [PYTHON, *(command or ("-m", "tap_pipedrive")), "--config", "/dev/stdin"],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={"PATH": "", "PIPEBOARD_RUN_REPORT": str(report), **MEASURED},
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(config).encode())
        process.stdin.close()
        process.stdin = None
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], number: int) -> tuple[bytes, str, float]:
    begun = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return out, err.decode(), time.monotonic() - begun


def fired(simulator: RunningSimulator) -> bool:
    return any(rule["fired"] for rule in simulator.control("GET", "faults"))


WAITS: dict[str, dict[str, Any]] = {
    "a call without an answer": {"kind": "hang", "operation": "getPersons"},
    "a slow body": {"kind": "slow_body", "operation": "getPersons", "seconds": 300},
    "backoff": {"kind": "503", "operation": "getPersons"},
    "a rate limit": {
        "kind": "status",
        "operation": "getPersons",
        "status": 429,
        "headers": {"retry-after": "10"},
    },
    "a log that others wait for": {"kind": "hang", "operation": "getDealChangelog"},
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("wait", WAITS)
def test_a_signal_ends_any_wait_with_state_and_report(
    simulator: RunningSimulator, tmp_path: Path, wait: str, number: signal.Signals
) -> None:
    simulator.control("POST", "faults", WAITS[wait])
    report_file = tmp_path / "report.json"
    with (
        (tmp_path / "out").open("wb") as out,
        running_tap(simulator, report_file, stdout=out) as process,
    ):
        wait_until(lambda: fired(simulator))
        # Lists are asked for ahead: by now the first stream may not have begun.
        wait_until(lambda: b'"type":"STATE"' in (tmp_path / "out").read_bytes())
        _, err, seconds = end(process, number)
    assert process.returncode == 128 + number
    assert seconds < SOON
    assert "Traceback" not in err
    output = Output.parse((tmp_path / "out").read_bytes())
    # A stream may have just begun: its SCHEMA needs no state, each record does.
    assert [kind for kind, _ in output.order if kind != "SCHEMA"][-1] == "STATE"
    report = json.loads(report_file.read_text())
    assert stat.S_IMODE(report_file.stat().st_mode) == 0o600
    assert (report["version"], report["stopped"]) == (2, "signal")
    assert report["exit_code"] == 128 + number
    assert number.name in report["message"]
    outcomes = {name: entry["outcome"] for name, entry in report["streams"].items()}
    assert outcomes["persons"] == "interrupted"
    assert outcomes["users"] == "interrupted", "it was not begun"
    assert set(outcomes.values()) <= {"complete", "interrupted"}
    sent = {name: entry["records"] for name, entry in report["streams"].items()}
    assert sent == {name: len(output.records[name]) for name in sent}


def test_a_second_signal_ends_the_process_at_once(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    """After the first signal the tap waits until its output is read."""
    with running_tap(simulator, tmp_path / "report.json", page_size=500) as process:
        wait_until(lambda: simulator.control("GET", "stats")["calls"] > 5)
        time.sleep(2)  # the pipe is full by then: nobody reads it
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(2) == 128 + signal.SIGTERM


def test_a_blocked_output_does_not_prevent_the_end_and_the_report(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    report_file = tmp_path / "report.json"
    with running_tap(simulator, report_file, "-c", _WITH_TIMEOUT) as process:
        wait_until(lambda: simulator.control("GET", "stats")["calls"] > 5)
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM
    report = json.loads(report_file.read_text())
    assert (report["stopped"], report["exit_code"]) == ("signal", 143)


@pytest.mark.long
def test_a_state_after_a_signal_covers_only_written_records(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    """The records before the signal and those of the next run are all records."""
    config = {"api_token": simulator.token, "api_url": simulator.url, "page_size": 20}
    whole = keys_of(run_tap(config))
    simulator.api.latency = 0.004
    dice = random.Random(3)
    for number in (signal.SIGTERM, signal.SIGINT) * 2:
        with running_tap(simulator, tmp_path / "report.json", page_size=20) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(dice.uniform(0.0, 1.5))
            out, err, _ = end(process, number)
        assert process.returncode in (128 + number, 0), err[-500:]
        before = Output.parse(first + out)
        after = run_tap(config, before.state)
        seen = keys_of(before)
        for stream, keys in keys_of(after).items():
            seen.setdefault(stream, set()).update(keys)
        assert {name: whole[name] - seen.get(name, set()) for name in whole} == {
            name: set() for name in whole
        }


def test_a_broken_pipe_is_reported(simulator: RunningSimulator, tmp_path: Path) -> None:
    """Also with a file of deals: an error of the pipe is not an error of the file."""
    deals = tmp_path / "deals"
    deals.write_text("".join(f"{d['id']}\n" for d in simulator.truth("deals") if d["_listed"]))
    report_file = tmp_path / "report.json"
    for settings in ({}, {"history_deals_file": str(deals)}):
        with running_tap(simulator, report_file, **settings) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read().decode()
            assert process.wait(30) == 1
        assert "broken pipe" in err.splitlines()[-1]
        assert "Traceback" not in err
        report = json.loads(report_file.read_text())
        assert (report["exit_code"], report["stopped"]) == (1, "error")


def keys_of(output: Output) -> dict[str, set[Any]]:
    return {
        name: {
            tuple(str(row[key]) for key in output.schemas[name]["key_properties"]) for row in rows
        }
        for name, rows in output.records.items()
    }
