"""The effect of each status on each default stream, and on the other streams.

Refusals: 403 refuses each stream alone. Of the other statuses, each refuses some streams of a run,
until each stream had each status; in each run some streams are not refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from tap_runs import Output, run_tap

from tap_pipedrive.api.openapi import operation
from tap_pipedrive.errors import TapError
from tap_pipedrive.streams import STREAMS

MELTANO = Path(__file__).parents[3] / "meltano.yml"
ESSENTIAL = {"deals", "pipelines", "stages", "users", "deal_fields"}
CLASSES = {stream.name: stream for stream in STREAMS}
NO_HEADERS = {
    f"x-{name}": None
    for limit in ("ratelimit", "daily-ratelimit-token")
    for name in (f"{limit}-limit", f"{limit}-remaining", f"{limit}-reset")
}


#: The window is used up, and free again at once: tests do not wait.
BURST = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}


def default_selection() -> list[str]:
    """The streams that meltano.yml selects."""
    (tap,) = yaml.safe_load(MELTANO.read_text())["plugins"]["extractors"][:1]
    return [pattern.removesuffix(".*") for pattern in tap["select"]]


DEFAULT = default_selection()
#: Streams whose rows come with the calls of another one.
COMES_WITH = {"deal_changelog_sync": "deal_changelog", "deal_products_sync": "deal_products"}
REQUESTED = [name for name in DEFAULT if name not in COMES_WITH]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with running_simulator(deals=12, seed=5) as running:
        running.account.advance_clock(600)
        yield running


@pytest.fixture(scope="module")
def state(server: RunningSimulator) -> dict[str, Any]:
    """The state after a successful run, with totals of another day."""
    state = sync(server, {}).state
    state["bookmarks"]["deal_summary_daily"]["read_on"] = "2000-01-01"
    return state


@pytest.fixture
def simulator(
    server: RunningSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[RunningSimulator]:
    monkeypatch.setattr("backoff._sync.time.sleep", lambda _: None)
    monkeypatch.setenv("PIPEBOARD_RUN_REPORT", str(tmp_path / "report.json"))
    yield server
    server.control("DELETE", "faults")


def sync(server: RunningSimulator, state: dict[str, Any], **settings: Any) -> Output:
    config = {"api_token": server.token, "api_url": server.url, **settings}
    return run_tap(config, state, only=set(DEFAULT))


def fail(simulator: RunningSimulator, stream: str, status: int, **rule: Any) -> None:
    path = operation(CLASSES[stream].operations[0]).path.replace("{id}", "*")
    rule = {"kind": "status", "status": status, "path": path, **rule}
    simulator.control("POST", "faults", rule)


def outcome(simulator: RunningSimulator, state: dict[str, Any], tmp_path: Path) -> tuple[int, Any]:
    """Run supervised; return the exit code of the tap and its report."""
    code = 0
    try:
        sync(simulator, state)
    except TapError as error:
        code = error.exit_code
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["streams"]) and set(report["streams"]) == set(DEFAULT)
    assert report["exit_code"] == code or code == 0
    return code, report


def state_for(stream: str, state: dict[str, Any]) -> dict[str, Any]:
    """Start from ``state`` if that is faster; children of deals are read in a first run."""
    return {} if stream in BY_DEAL else state


def by_outcome(report: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, entry in report["streams"].items():
        found.setdefault(entry["outcome"], set()).add(name)
    return found


def with_them(streams: Iterable[str]) -> set[str]:
    """The streams, and those whose rows come with their calls."""
    return {*streams, *(name for name in DEFAULT if COMES_WITH.get(name) in streams)}


def names_of_run(run: dict[str, Any]) -> str:
    """The id of a test: the first streams that fail."""
    return ", ".join([*failing(run)][:2])


def rotated(streams: list[str], *faults: Any) -> list[dict[str, Any]]:
    """The faults of each stream in some runs: in one run none, in the others one each."""
    choices = (None, *faults)
    return [
        {name: choices[(nr + turn) % len(choices)] for nr, name in enumerate(streams)}
        for turn in range(len(choices))
    ]


def failing(run: dict[str, Any]) -> dict[str, Any]:
    """The streams of a run that fail, and how."""
    return {name: fault for name, fault in run.items() if fault is not None}


OPTIONAL = [name for name in REQUESTED if name not in ESSENTIAL]


@pytest.mark.parametrize(
    "statuses",
    [*({name: 403} for name in OPTIONAL), *rotated(OPTIONAL, 404, 410, 415)],
    ids=names_of_run,
)
def test_a_stream_that_was_never_read_and_is_refused(
    simulator: RunningSimulator, tmp_path: Path, statuses: dict[str, Any]
) -> None:
    for stream, status in failing(statuses).items():
        fail(simulator, stream, status, error="Feature is not enabled")
    code, report = outcome(simulator, {}, tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (0, 0, None)
    affected = with_them(failing(statuses))
    assert by_outcome(report) == {
        "not_permitted": affected,
        "complete": set(DEFAULT) - affected,
    }
    for stream, status in failing(statuses).items():
        assert str(status) in report["streams"][stream]["reason"]


@pytest.mark.parametrize("stream", sorted(ESSENTIAL))
@pytest.mark.parametrize("status", [403, 404, 410, 415])
def test_an_essential_stream_that_is_refused_ends_the_run(
    simulator: RunningSimulator, tmp_path: Path, stream: str, status: int
) -> None:
    fail(simulator, stream, status, error="Feature is not enabled")
    code, report = outcome(simulator, {}, tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (77, 77, "error")
    assert stream in report["message"]
    assert by_outcome(report)["refused"] == {stream}


#: Children of deals that changed: without a change they are not called.
BY_DEAL = {"deal_changelog", "deal_products"}


READ_AGAIN = [name for name in OPTIONAL if name not in BY_DEAL]


@pytest.mark.parametrize(
    "statuses",
    [*({name: 403} for name in READ_AGAIN), *rotated(READ_AGAIN, 410)],
    ids=names_of_run,
)
def test_a_stream_that_could_be_read_before_and_is_refused(
    simulator: RunningSimulator, tmp_path: Path, state: dict[str, Any], statuses: dict[str, Any]
) -> None:
    for stream, status in failing(statuses).items():
        fail(simulator, stream, status)
    code, report = outcome(simulator, state, tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (0, 77, None)
    refused = set(failing(statuses))
    assert by_outcome(report) == {"refused": refused, "complete": set(DEFAULT) - refused}
    assert all(stream in report["message"] for stream in refused)


@pytest.mark.parametrize("stream", sorted(BY_DEAL))
def test_a_child_stream_that_is_refused_later(
    simulator: RunningSimulator, tmp_path: Path, state: dict[str, Any], stream: str
) -> None:
    simulator.account.advance_clock(3600)
    simulator.account.advance(deals=6, hours=1)
    fail(simulator, stream, 403)
    code, report = outcome(simulator, state, tmp_path)
    assert (code, report["exit_code"]) == (0, 77)
    assert by_outcome(report) == {
        "refused": with_them({stream}),
        "complete": set(DEFAULT) - with_them({stream}),
    }


@pytest.mark.long
@pytest.mark.parametrize("stream", REQUESTED)
@pytest.mark.parametrize("status", [401, 402])
def test_a_refused_account_ends_the_run(
    simulator: RunningSimulator, tmp_path: Path, state: dict[str, Any], stream: str, status: int
) -> None:
    fail(simulator, stream, status, error="Company account is not open")
    code, report = outcome(simulator, state_for(stream, state), tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (77, 77, "error")
    assert report["streams"][stream]["outcome"] == "interrupted"
    assert by_outcome(report).keys() <= {"complete", "interrupted"}


@pytest.mark.parametrize("stream", REQUESTED)
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (500, {}),
        pytest.param(429, BURST, marks=pytest.mark.long),
        pytest.param(429, NO_HEADERS, marks=pytest.mark.long),
    ],
    ids=["500", "429-burst", "429-no-headers"],
)
def test_a_stream_whose_operation_keeps_failing(
    simulator: RunningSimulator,
    tmp_path: Path,
    state: dict[str, Any],
    stream: str,
    status: int,
    headers: Any,
) -> None:
    fail(simulator, stream, status, headers=headers)
    code, report = outcome(simulator, state_for(stream, state), tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (0, 69, None)
    affected = with_them({stream})
    if stream == "deals":  # what is read by deals has none
        affected |= {*BY_DEAL, *COMES_WITH}
    assert by_outcome(report) == {"incomplete": affected, "complete": set(DEFAULT) - affected}
    assert str(status) in report["message"]


@pytest.mark.long
@pytest.mark.parametrize("stream", REQUESTED)
def test_streams_fall_behind_on_a_spent_day(
    simulator: RunningSimulator, tmp_path: Path, state: dict[str, Any], stream: str
) -> None:
    fail(simulator, stream, 429, headers={"x-daily-ratelimit-token-remaining": "0"})
    code, report = outcome(simulator, state_for(stream, state), tmp_path)
    assert (code, report["exit_code"], report["stopped"]) == (0, 75, "budget")
    assert report["streams"][stream]["outcome"] == "behind"
    assert by_outcome(report).keys() <= {"complete", "behind"}
    assert set(report["behind"]) == by_outcome(report)["behind"]
