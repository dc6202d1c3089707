from __future__ import annotations

import json

import pytest

from pipeboard.problems import ExitCode
from pipeboard.run_log import RunLog
from pipeboard.runner import meaning_of


def feed(*entries: dict[str, object] | str) -> RunLog:
    log = RunLog()
    for entry in entries:
        log.read(entry if isinstance(entry, str) else json.dumps(entry))
    return log


def block_failed(**codes: int) -> dict[str, object]:
    return {"event": "Block run completed", "success": False, "exit_codes": codes}


def test_progress_follows_the_run() -> None:
    log = feed({"event": "Environment 'dev' is active", "level": "info"})
    assert log.progress == "starting"
    tap = {"string_id": "tap-pipedrive", "name": "tap-pipedrive"}
    log.read(json.dumps({**tap, "event": "Beginning incremental sync of 'deals'..."}))
    metric = {"type": "counter", "metric": "record_count", "value": 500, "tags": {"stream": "d"}}
    log.read(json.dumps({**tap, "event": f"METRIC: {json.dumps(metric)}"}))
    assert log.progress == "extract and load: 500 records, now deals"
    dbt = {"name": "dbt", "cmd_type": "command"}
    log.read(json.dumps({**dbt, "event": "16:00:00  1 of 3 START sql view model a ... [RUN]"}))
    log.read(json.dumps({**dbt, "event": "16:00:01  1 of 3 OK created sql view model a ... [OK]"}))
    assert log.progress == "dbt build: 1 of 3"


@pytest.mark.parametrize(
    ("log", "code", "part"),
    [
        (feed(block_failed(extractors=77)), ExitCode.NOT_PERMITTED, "tap-pipedrive"),
        (feed(block_failed(extractors=1)), ExitCode.FAILED, "tap-pipedrive"),
        (feed(block_failed(loaders=69)), ExitCode.UNAVAILABLE, "target-postgres"),
        (feed(block_failed(extractors=69, loaders=1)), ExitCode.UNAVAILABLE, "tap-pipedrive"),
        (feed(block_failed()), ExitCode.DATA, "dbt"),
        (
            feed({**block_failed(), "block_type": "ExtractLoadBlocks"}),
            ExitCode.FAILED,
            "tap-pipedrive",
        ),
        (feed(), ExitCode.FAILED, "meltano"),
    ],
)
def test_the_exit_code_says_what_failed(log: RunLog, code: ExitCode, part: str) -> None:
    assert meaning_of(1, log) == (code, part)


@pytest.mark.parametrize(
    ("code", "log", "part"),
    [
        (1, feed(block_failed(extractors=-9)), "tap-pipedrive"),
        (1, feed(block_failed(loaders=-9)), "target-postgres"),
        (1, feed({"event": "", "exception": [{"exc_type": "BrokenPipeError"}]}), "target-postgres"),
        (137, feed(), "meltano"),
    ],
)
def test_what_was_killed_is_worth_another_try(code: int, log: RunLog, part: str) -> None:
    assert meaning_of(code, log) == (ExitCode.UNAVAILABLE, part)


def test_words_of_a_failure_are_kept_and_others_are_not() -> None:
    log = feed(
        "Traceback (most recent call last):",
        {"event": "all well", "level": "info"},
        {"event": "it broke", "level": "error"},
        {"name": "dbt", "event": "Failure in test unique_deal_id"},
        {"name": "dbt", "event": "Done. PASS=3 WARN=0 ERROR=0 SKIP=0"},
    )
    assert log.errors == [
        "Traceback (most recent call last):",
        "it broke",
        "Failure in test unique_deal_id",
    ]


def test_warnings_of_tap_and_loader_are_told_once() -> None:
    behind = {"string_id": "tap-pipedrive", "name": "tap-pipedrive", "level": "warning"}
    log = feed(*[{**behind, "event": "history stays behind"}] * 2)
    assert (log.notices, log.errors) == (["history stays behind"], [])
