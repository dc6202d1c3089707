"""An invalid setting is reported in one line, with exit code 78 and without a secret."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tap_runs import PYTHON, run_tap

from tap_pipedrive.errors import ConfigurationError

GOOD = {"api_token": "a-token-nobody-may-see", "api_url": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"redis_url": "localhost:6379"}, "redis_url"),
        ({"redis_url": "redis://[hush-hush"}, "redis_url"),
        ({"redis_url": "redis://u:hush-hush@h:99999/0"}, "redis_url"),
        ({"redis_url": "redis://u:hush-hush/x@h:1/0"}, "redis_url"),
        ({"redis_url": "redis://127.0.0.1:1/0?socket_timeout=hush-hush"}, "redis_url"),
        ({"redis_url": "http://127.0.0.1:6379"}, "redis_url"),
        ({"api_url": "http://[bad"}, "api_url"),
        ({"api_url": "http://host:port"}, "api_url"),
        ({"api_url": "http://ho st"}, "api_url"),
        ({"api_url": "ftp://host"}, "api_url"),
        ({"api_url": "http://u:hush-hush@host:port"}, "api_url"),
        ({"api_url": "http://u:hush-hush@a..b"}, "api_url"),
        ({"api_token": "hush\nhush"}, "api_token"),
        ({"api_token": "hush€hush"}, "api_token"),
        ({"api_token": 1234567890}, "api_token is of the wrong type"),
        ({"user_agent": "a\nb"}, "user_agent"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2026-13-45"}, "start_date"),
        ({"start_date": "0001-01-01T00:00:00+14:00"}, "start_date"),
        ({"page_size": 501}, "page_size"),
        ({"daily_tokens": 0}, "daily_tokens"),
        ({"run_token_share": 1.1}, "run_token_share"),
        ({"request_timeout": 1e9}, "request_timeout"),
        ({"windows": 65}, "windows"),
    ],
)
def test_an_invalid_setting_is_a_configuration_error(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as failure:
        run_tap({**GOOD, **wrong})
    text = str(failure.value)
    assert failure.value.exit_code == 78
    assert "\n" not in text
    assert not any(secret in text for secret in ("hush", "1234567890", GOOD["api_token"]))


def run_process(config: str, *arguments: str, **env: str) -> tuple[int, str]:
    command = [PYTHON, "-m", "tap_pipedrive", "--config", "/dev/stdin", *arguments]
    done = subprocess.run(
        command, input=config, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **env},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"page_size": 501}, "page_size"),
        ({"stream_maps": {"deals": {"x": "1/"}}}, "stream_maps"),
        ({"redis_url": "redis://[hush-hush"}, "redis_url"),
    ],
)
def test_the_command_exits_with_78_and_one_line(
    tmp_path: Path, wrong: dict[str, Any], says: str
) -> None:
    report = tmp_path / "report.json"
    code, text = run_process(json.dumps(GOOD | wrong), PIPEBOARD_RUN_REPORT=str(report))
    assert code == 78
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("tap-pipedrive: ")]
    assert says in line
    if "redis_url" in wrong:  # the run was begun
        reported = json.loads(report.read_text())
        assert (reported["exit_code"], reported["stopped"]) == (78, "error")
        assert {entry["outcome"] for entry in reported["streams"].values()} == {"interrupted"}


@pytest.mark.parametrize("content", ["{broken", "[]"])
def test_a_state_that_is_not_a_json_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    code, text = run_process(json.dumps(GOOD), "--state", str(tmp_path / "state.json"))
    assert code == 78
    assert "--state" in text.splitlines()[-1]


def test_null_means_the_default(sync: Any) -> None:
    names = ("page_size", "windows", "lists_ahead", "calls_ahead", "request_timeout", "sweep")
    output = sync(only={"users"}, **dict.fromkeys(names), run_token_share=None, start_date=None)
    assert output.records["users"]


@pytest.mark.parametrize("expression", ["int(name)", "1/0", "md5(id)", "nope"])
def test_a_failing_stream_map_is_reported_without_values(sync: Any, expression: str) -> None:
    with pytest.raises(ConfigurationError, match="record of users") as failure:
        sync(only={"users"}, stream_maps={"users": {"name": expression}})
    users = [str(user["name"]) for user in sync(only={"users"}).records["users"]]
    assert not any(name in str(failure.value) for name in users)


def test_a_batch_storage_without_its_package_is_a_configuration_error(sync: Any) -> None:
    batches = {"encoding": {"format": "jsonl"}, "storage": {"root": "s3://bucket"}}
    with pytest.raises(ConfigurationError, match="batch_config"):
        sync(only={"users"}, batch_config=batches)


@pytest.mark.parametrize("gateway", ["http://[bad", "http://host:port", "nonsense://x"])
def test_a_malformed_pushgateway_does_not_fail_the_run(
    sync: Any, caplog: pytest.LogCaptureFixture, gateway: str
) -> None:
    assert sync(pushgateway_url=gateway, only={"users"}).records["users"]
    assert any("could not be pushed" in record.getMessage() for record in caplog.records)
