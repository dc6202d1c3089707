"""Both ways of authentication work, and no secret appears in the output."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from scripted_server import scripted_server
from tap_runs import PYTHON, Output, run_tap

from tap_pipedrive import logs
from tap_pipedrive.addresses import company_of, http_url
from tap_pipedrive.api.auth import OAuth
from tap_pipedrive.api.client import PipedriveClient
from tap_pipedrive.api.openapi import operation
from tap_pipedrive.errors import ConfigurationError, NotPermittedError
from tap_pipedrive.tap import TapPipedrive

OAUTH = {
    "client_id": "demo-client",
    "client_secret": "demo-secret",
    "refresh_token": "demo-refresh",
}
Sync = Callable[..., Output]


def test_an_oauth_app_reads_the_account(simulator: Any) -> None:
    output = run_tap({"oauth": OAUTH, "api_url": simulator.url}, only={"users"})
    assert output.records["users"]


def test_a_refused_oauth_app_is_a_configuration_error(simulator: Any) -> None:
    refused = {**OAUTH, "client_secret": "not-the-secret"}
    with pytest.raises(ConfigurationError, match=r"oauth\.client_secret") as failure:
        run_tap({"oauth": refused, "api_url": simulator.url}, only={"users"})
    assert "not-the-secret" not in str(failure.value)


def test_a_rejected_access_token_is_renewed() -> None:
    granted = {"access_token": "one", "expires_in": 3600, "api_domain": "https://acme.example"}
    good = {"success": True, "data": [{"id": 1}]}
    with scripted_server() as server:
        server.answer(200, granted)
        server.answer(401, {"success": False})
        server.answer(200, {**granted, "access_token": "two"})
        server.answer(200, good)
        auth = OAuth(**OAUTH, token_url=f"{server.url}/oauth/token")
        client = PipedriveClient(server.url, auth, timeout=2)
        assert client.get(operation("v1 /users"), stream="users").records == [{"id": 1}]
        assert server.requested[-1][1]["Authorization"] == "Bearer two"
        assert auth.api_domain == "https://acme.example"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "PIPEDRIVE_API_TOKEN"),
        ({"api_token": "x" * 40}, "PIPEDRIVE_COMPANY_DOMAIN"),
        ({"api_token": "x" * 40, "company_domain": "not a name"}, "not a name"),
        ({"api_token": "x" * 40, "api_url": "ftp://here"}, "PIPEDRIVE_API_URL"),
        ({"oauth": {"client_id": "a"}}, r"oauth\.client_secret, oauth\.refresh_token"),
    ],
)
def test_missing_settings_are_named(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as failure:
        _ = TapPipedrive(config=config).run_context.client
    assert "x" * 40 not in str(failure.value)


@pytest.mark.parametrize(
    "typed",
    [
        "acme",
        "Acme",
        " acme.pipedrive.com",
        "https://acme.pipedrive.com",
        "acme.pipedrive.com/deals",
        "Acme.Pipedrive.com",
        "HTTPS://ACME.PIPEDRIVE.COM",
        "https://acme.pipedrive.com/",
        "http://acme.pipedrive.com:443/pipeline/1?x=y#z",
    ],
)
def test_every_form_of_a_domain_names_the_company(typed: str) -> None:
    assert company_of(typed) == "acme"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("https://api.pipedrive.com/v1", "names no company"),
        ("app.pipedrive.com", "names no company"),
        ("OAuth", "names no company"),
        ("acme.example.com", "not a name like acme"),
        ("https://[acme", "not a name like acme"),
        ("acme corp", "not a name like acme"),
        ("https://", "not a name like acme"),
        ("  ", "is not set"),
    ],
)
def test_a_domain_without_a_company_is_refused(typed: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        company_of(typed)


@pytest.mark.parametrize(
    "typed", ["HTTPS://Proxy.Example:8443/Base/", "https://proxy.example:8443/Base"]
)
def test_an_api_url_is_normalized(typed: str) -> None:
    assert http_url(typed, "api_url") == "https://proxy.example:8443/Base"


def test_a_wrong_token_exits_with_77(simulator: Any) -> None:
    with pytest.raises(NotPermittedError) as failure:
        run_tap({"api_token": "wrong" * 8, "api_url": simulator.url})
    assert failure.value.exit_code == 77


def run_process(config: dict[str, Any], *arguments: str, **env: str) -> tuple[int, str]:
    command = [PYTHON, "-m", "tap_pipedrive", "--config", "/dev/stdin", *arguments]
    done = subprocess.run(
        command, input=json.dumps(config), capture_output=True, text=True, timeout=120,
        env={**os.environ, **env}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("log_format", ["json", "plain"])
def test_no_secret_appears_in_output_or_logs(simulator: Any, log_format: str) -> None:
    config = {
        "api_token": simulator.token, "api_url": simulator.url, "oauth": OAUTH,
        "request_timeout": 5, "redis_url": "redis://:hush-hush@127.0.0.1:9/0",
    }  # fmt: skip
    simulator.control("POST", "faults", {"kind": "500", "count": 1})
    simulator.control("POST", "faults", {"kind": "401", "after": 12, "count": 1})
    code, text = run_process(
        config, PIPEBOARD_LOG_FORMAT=log_format, TAP_PIPEDRIVE_LOGLEVEL="DEBUG", LOGLEVEL="DEBUG"
    )
    assert code == 77
    assert "Redis failed" in text
    code, about = run_process(config, "--about")
    assert code == 0
    for secret in (simulator.token, "demo-secret", "demo-refresh", "hush-hush"):
        assert secret not in text
        assert secret not in about


def test_json_logs_have_run_stream_and_attempt(simulator: Any) -> None:
    simulator.control("POST", "faults", {"kind": "503", "operation": "getPersons", "count": 2})
    config = {"api_token": simulator.token, "api_url": simulator.url}
    code, text = run_process(config, PIPEBOARD_LOG_FORMAT="json", PIPEBOARD_RUN_ID="run-7")
    assert code == 0
    lines = [json.loads(line) for line in text.splitlines() if '"level"' in line]
    retries = [line for line in lines if "trying again" in line["message"]]
    assert {line["run_id"] for line in lines} == {"run-7"}
    assert [line["stream"] for line in retries] == ["persons", "persons"]
    assert retries[0]["endpoint"] == "v2 /persons"
    assert [line["attempt"] for line in retries] == [2, 3]


def test_the_log_filter_replaces_secrets() -> None:
    logs.hide("s3cr3t-value")
    entry = logging.LogRecord("x", logging.INFO, "f", 1, "token=%s!", ("s3cr3t-value",), None)
    assert logs.SecretFilter().filter(entry)
    assert entry.getMessage() == "token=***!"
