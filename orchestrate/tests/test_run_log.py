from __future__ import annotations

import json

from pipeboard.run.dbt_results import Build, Result, name_broken_rules
from pipeboard.run.run_log import ANSI, RunLog


def log_of(*entries: dict[str, object] | str) -> RunLog:
    log = RunLog()
    for entry in entries:
        log.read(entry if isinstance(entry, str) else json.dumps(entry))
    return log


def test_progress_follows_the_run() -> None:
    log = log_of({"event": "Environment 'dev' is active", "level": "info"})
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


def test_lines_of_a_failure_are_stored_and_others_are_not() -> None:
    log = log_of(
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


def test_a_compilation_error_has_its_reason() -> None:
    log = log_of(
        {"name": "dbt", "event": "Compilation Error in model a (models/a.sql)"},
        {"name": "dbt", "event": "  'nosuch' is undefined. Is it"},
        {"name": "dbt", "event": "  > in macro b (macros/b.sql)"},
    )
    assert log.errors == [
        "Compilation Error in model a (models/a.sql): 'nosuch' is undefined. Is it"
    ]


def test_warnings_of_tap_and_loader_are_shown_once() -> None:
    behind = {"string_id": "tap-pipedrive", "name": "tap-pipedrive", "level": "warning"}
    log = log_of(*[{**behind, "event": "history stays behind"}] * 2)
    assert (log.notices, log.errors) == (["history stays behind"], [])


def test_colours_are_taken_out_of_text_and_of_json() -> None:
    coloured = "\x1b[0m08:00  Done [\x1b[32mOK\x1b[0m]"
    assert ANSI.sub("", coloured) == "08:00  Done [OK]"
    literal = "a backslash: \\u001b[0m"
    for text in (coloured, literal):
        line = ANSI.sub("", json.dumps({"event": text}))
        assert json.loads(line)["event"] == (literal if text is literal else "08:00  Done [OK]")


def test_a_test_of_many_rules_names_those_that_are_broken() -> None:
    log = RunLog()
    for text in ("Broken: key_of_deals, 1200 rows (fail). See them: ...",
                 "Broken: persons_exist, 3 rows (warn). See them: ..."):  # fmt: skip
        log.read(json.dumps({"name": "dbt", "event": text}))
    assert log.errors == []
    results = [
        Result("test", "rules_of_marts", "fail", "Got 1 result", 0.1, 1, "error"),
        Result("test", "rules_that_warn", "warn", "Got 1 result", 0.1, 1, "warn"),
        Result("test", "another", "fail", "Got 2 results", 0.1, 2, "error"),
    ]
    named = name_broken_rules(Build(results, 1.0), log.broken_rules)
    assert [result.message for result in named.results] == [
        "key_of_deals: 1,200 rows",
        "persons_exist: 3 rows",
        "Got 2 results",
    ]


def test_a_history_backfill_shows_its_goal() -> None:
    log = RunLog(goal=("deal_changelog_sync", 1200))
    log.read(json.dumps({"string_id": "tap", "name": "tap-pipedrive-history", "event": "reads"}))
    log.loaded = {"deal_changelog_sync": 50}
    assert log.progress == "50 of 1,200 deals"


def test_errors_of_tap_and_loader_name_their_program() -> None:
    tap = {"string_id": "tap-pipedrive", "name": "tap-pipedrive"}
    log = log_of(
        "",
        {**tap, "event": "METRIC: {broken", "level": "info"},
        {**tap, "event": "METRIC: []", "level": "info"},
        {**tap, "event": "the token expired", "level": "critical"},
        {**tap, "event": "ValueError: no number", "level": "info"},
    )
    assert log.errors == [
        "tap-pipedrive: the token expired",
        "tap-pipedrive: ValueError: no number",
    ]
    assert log.records == {}
