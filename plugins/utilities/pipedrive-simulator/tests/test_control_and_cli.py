"""Control routes, the testing helper and the command line, over real connections."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pipedrive_simulator.account.journal import StateFileInUseError
from pipedrive_simulator.cli import main
from pipedrive_simulator.client import ControlCallError
from pipedrive_simulator.opening import PlanError
from pipedrive_simulator.server.run import HostError, bind
from pipedrive_simulator.testing import RunningSimulator, running_simulator
from simulator_helpers import NOW, TINY_CSV, make_account


def get(simulator: RunningSimulator, path: str) -> Any:
    import urllib.request

    request = urllib.request.Request(simulator.url + path, headers=simulator.headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_control_routes_edit_and_return_the_records() -> None:
    with running_simulator(deals=20) as simulator:
        done = simulator.control(
            "POST", "edit",
            {"edits": [
                {"op": "create_deal", "title": "A", "deal_id": 900},
                {"op": "move_deal", "deal_id": 900, "stage_id": 2},
                {"op": "move_deal", "deal_id": 900, "stage_id": 3},
                {"op": "lose_deal", "deal_id": 900, "reason": "Preço"},
                {"op": "add_field", "entity": "deal", "name": "Nova", "type": "enum",
                 "options": ["x"]},
            ]},
        )  # fmt: skip
        assert done["results"][0] == {"id": 900}
        assert len(done["results"][4]["code"]) == 40
        stays = [s for s in simulator.truth("stage_intervals") if s["deal_id"] == 900]
        assert [(s["stage_id"], s["status"]) for s in stays] == [
            (1, "open"), (2, "open"), (3, "open"), (3, "lost"),
        ]  # fmt: skip
        (deal,) = [d for d in simulator.truth("deals") if d["id"] == 900]
        assert (deal["_listed"], deal["_purged"], deal["_merged_into"]) == (True, False, None)
        assert get(simulator, "/api/v2/deals/900")["data"]["lost_reason"] == "Preço"
        assert simulator.control("GET", "truth/counts")["deals"] == 21
        assert "move_deal" in simulator.control("GET", "edit")


@pytest.mark.parametrize(
    ("route", "body"),
    [("edit", {"op": "nothing"}), ("edit", {"op": "move_deal", "deal_id": 1}),
     ("edit", {"op": "move_deal", "deal_id": 77777, "stage_id": 1}),
     ("edit", {"op": "update_deal", "deal_id": 1, "typo": 1}),
     ("edit", {"op": "update_deal", "deal_id": 1, "custom_fields": {"none": 1}}),
     ("edit", {"op": "add_field", "entity": "deal", "name": "x", "type": "nope"}),
     ("limits", {"nope": 1}), ("faults", {"kind": "nope"}), ("nowhere", {})],
)  # fmt: skip
def test_refused_control_calls_name_the_reason(route: str, body: dict[str, Any]) -> None:
    with running_simulator(deals=1) as simulator, pytest.raises(ControlCallError, match="40"):
        simulator.control("POST", route, body)


def test_control_calls_are_not_counted_and_move_the_clock() -> None:
    with running_simulator(deals=3) as simulator:
        assert (
            simulator.control("POST", "clock", {"advance_seconds": 61})["now"][11:19] == "12:01:01"
        )
        simulator.control("POST", "clock", {"set": "2027-01-01T00:00:00Z"})
        assert simulator.account.clock.text() == "2027-01-01T00:00:00Z"
        assert simulator.control("GET", "stats")["calls"] == 0
        get(simulator, "/api/v2/deals")
        stats = simulator.control("GET", "stats")
        assert (stats["calls"], stats["tokens_used_today"]) == (1, 10)
        (call,) = simulator.control("GET", "requests", operation="getDeals")
        assert (call["path"], call["status"], call["tokens"]) == ("/api/v2/deals", 200, 10)
        assert simulator.control("POST", "stats/reset")["calls"] == 0


def test_limits_can_be_set_while_it_runs() -> None:
    with running_simulator(deals=3) as simulator:
        simulator.control("POST", "limits", {"burst": 2, "daily_tokens": 500})
        statuses = []
        for _ in range(3):
            try:
                get(simulator, "/api/v2/deals")
                statuses.append(200)
            except OSError as error:
                statuses.append(error.code)  # type: ignore[attr-defined]
        assert statuses == [200, 200, 429]
        assert simulator.control("GET", "limits")["tokens_used"] == 20
        assert simulator.control("GET", "stats")["served_429"] == 1


def test_the_latency_can_be_set_while_it_runs() -> None:
    with running_simulator(deals=5) as simulator:
        assert simulator.control("POST", "latency", {"seconds": 0.2}) == {"seconds": 0.2}
        begun = time.monotonic()
        get(simulator, "/api/v2/pipelines")
        assert time.monotonic() - begun >= 0.2
        simulator.control("POST", "latency", {"seconds": 0})
        assert simulator.control("GET", "latency") == {"seconds": 0.0}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.com", "8.8.8.8"])
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(HostError, match="loopback"):
        bind(host, 0)
    assert main(["serve", "--host", host]) == 64


def test_a_small_account_starts_within_two_seconds() -> None:
    with running_simulator(deals=1):
        pass
    start = time.monotonic()
    with running_simulator(deals=20) as simulator:
        get(simulator, "/v1/users/me")
        assert time.monotonic() - start < 2  # a tenth of it on a quiet machine


def test_another_process_serves_the_same_account() -> None:
    with running_simulator(deals=15) as here, running_simulator(deals=15, process=True) as there:
        assert here.truth("deals") == there.truth("deals")
        assert get(here, "/api/v2/deals") == get(there, "/api/v2/deals")


def start(ready: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pipedrive_simulator", "serve", "--ready-file", str(ready)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_with_0_and_resumes_its_account(tmp_path: Path, number: int) -> None:
    ready, state = tmp_path / "a folder" / "ready.json", tmp_path / "state.jsonl"
    options = ["--state-file", str(state), "--deals", "40", "--now", NOW]
    process = start(ready, *options)
    ready_file = json.loads(ready.read_text())
    assert (ready_file["pid"], ready_file["token"], ready_file["company_domain"]) == (
        process.pid,
        "demo-token",
        "demo",
    )
    assert main(["advance", "--url", ready_file["url"], "--deals", "7", "--hours", "3"]) == 0
    running = RunningSimulator(ready_file["url"], "demo-token", "demo", _client(ready_file["url"]))
    before = running.truth("deals")
    os.kill(process.pid, number)
    assert process.wait(10) == 0
    ready.unlink()
    process = start(ready, *options)
    try:
        again = _client(json.loads(ready.read_text())["url"])
        assert list(again.truth("deals")) == before
        assert again.call("GET", "clock")["now"] > "2026-06-15T14:59:00Z"
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_a_state_file_is_served_by_one_simulator_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "folder" / "state.jsonl"
    with running_simulator(deals=3, state_file=state) as simulator:
        before = state.read_bytes()
        assert main(["serve", "--state-file", str(state)]) == 64
        assert "in use by another running simulator" in capsys.readouterr().err
        with (
            pytest.raises(StateFileInUseError, match=r"state\.jsonl"),
            running_simulator(deals=3, state_file=state),
        ):
            pass
        assert state.read_bytes() == before
        simulator.account.create_deal("depois")
    with running_simulator(deals=3, state_file=state) as simulator:
        assert len(simulator.account.deals) == 4


def test_a_failed_creation_leaves_no_state_file(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    assert main(["serve", "--state-file", str(state), "--deals", "-1"]) == 64
    assert not state.exists()


def test_a_killed_simulator_leaves_its_state_file_free(tmp_path: Path) -> None:
    ready, state = tmp_path / "ready.json", tmp_path / "state.jsonl"
    options = ["--state-file", str(state), "--deals", "5", "--now", NOW]
    process = start(ready, *options)
    assert start(tmp_path / "second.json", *options).wait(10) == 64
    process.kill()
    process.wait(10)
    ready.unlink()
    process = start(ready, *options)
    assert ready.exists()
    process.terminate()
    assert process.wait(10) == 0


def _client(url: str) -> Any:
    from pipedrive_simulator.client import ControlClient

    return ControlClient(url)


def test_the_client_commands_print_their_results(capsys: pytest.CaptureFixture[str]) -> None:
    with running_simulator(kind="csv", csv_dir=TINY_CSV) as simulator:
        url = ["--url", simulator.url]
        assert main(["advance", *url, "--deals", "3"]) == 0
        assert "3 deals changed" in capsys.readouterr().out
        assert main(["faults", *url, "--add", "500", "--count", "2"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["kind"] == "500"
        assert main(["faults", *url, "--clear"]) == 0
        assert json.loads(capsys.readouterr().out) == []
        assert main(["truth", "deals", *url]) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 6
        assert main(["truth", "counts", *url]) == 0
        get(simulator, "/api/v2/deals")
        assert main(["stats", *url]) == main(["stats", *url, "--reset"]) == 0
        capsys.readouterr()
        assert main(["stats", *url]) == 0
        assert json.loads(capsys.readouterr().out)["calls"] == 0


def test_clients_exit_with_69_without_a_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--url", "http://127.0.0.1:9"]) == 69
    assert "no simulator at" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--account", "csv"], ["--account", "csv", "--csv-dir", "/nonexistent"],
                ["--deals", "1000001"], ["--deals", "-1"], ["--now", "tomorrow"]],
)  # fmt: skip
def test_an_invalid_plan_exits_with_64(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *options]) == 64
    assert capsys.readouterr().err.startswith("pipedrive-simulator: ")


def test_an_edit_without_a_result_and_lists_of_edits_and_faults() -> None:
    with running_simulator(deals=20) as simulator:
        lead = simulator.account.create_lead("um").id
        edits = [{"op": "create_deal", "title": "A", "deal_id": 900},
                 {"op": "delete_lead", "lead_id": lead}]  # fmt: skip
        assert simulator.control("POST", "edit", edits)["results"] == [{"id": 900}, None]
        rules = simulator.control("POST", "faults", [{"kind": "500"}, {"kind": "502"}])
        assert [rule["kind"] for rule in rules] == ["500", "502"]


def test_the_days_budget_can_be_reset() -> None:
    with running_simulator(deals=3) as simulator:
        get(simulator, "/api/v2/deals")
        assert simulator.control("POST", "stats/reset")["tokens_used_today"] == 10
        assert simulator.control("POST", "stats/reset", {"budget": True})["tokens_used_today"] == 0


def test_an_unknown_truth_is_refused_with_the_known_ones() -> None:
    with (
        running_simulator(deals=1) as simulator,
        pytest.raises(ControlCallError, match=r"404.*no truth about 'nothing'; one of counts, "),
    ):
        simulator.truth("nothing")


def test_bodies_longer_than_one_message_arrive_whole() -> None:
    with running_simulator(deals=1) as simulator:
        edits = [{"op": "create_deal", "title": f"Negócio {n}" * 20} for n in range(1200)]
        done = simulator.control("POST", "edit", {"edits": edits})
        assert len(done["results"]) == 1200
        titles = [deal["title"] for deal in simulator.truth("deals")]
        assert titles[1:] == [edit["title"] for edit in edits]


def test_tokens_are_granted_over_http() -> None:
    import urllib.request

    with running_simulator(deals=1) as simulator:
        basic = base64.b64encode(b"demo-client:demo-secret").decode()
        request = urllib.request.Request(
            f"{simulator.url}/oauth/token", method="POST",
            data=b"grant_type=refresh_token&refresh_token=demo-refresh",
            headers={"authorization": f"Basic {basic}"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            assert answer.headers.get_content_type() == "application/json"
            granted = json.load(answer)
        assert granted["api_domain"] == simulator.url
        simulator.token = ""
        bearer = {"authorization": f"Bearer {granted['access_token']}"}
        request = urllib.request.Request(f"{simulator.url}/api/v2/deals", headers=bearer)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


def test_the_end_of_a_simulator_closes_open_connections() -> None:
    with running_simulator(deals=1) as simulator:
        connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=5)
        connection.request("GET", "/api/v2/deals", headers=simulator.headers)
        assert connection.getresponse().read()
        sock = connection.sock
    assert sock.recv(1) == b""
    connection.close()


def test_a_test_passes_its_own_account() -> None:
    account = make_account(deals=2)
    with running_simulator(account) as simulator:
        assert simulator.account is account
        assert simulator.control("GET", "truth/counts")["deals"] == 2


@pytest.mark.parametrize("process", [False, True])
def test_a_simulator_of_an_unknown_kind_does_not_start(process: bool) -> None:
    expected: Any = (RuntimeError, "did not start .exit code 2") if process else (
        PlanError, "no such account 'nope'; one of generated")  # fmt: skip
    with pytest.raises(expected[0], match=expected[1]), running_simulator(
        kind="nope", process=process
    ):  # fmt: skip
        pass


def test_a_time_without_a_zone_is_utc() -> None:
    assert make_account(now="2026-06-15T12:00:00").clock.text() == NOW


def test_a_port_in_use_exits_with_64(capsys: pytest.CaptureFixture[str]) -> None:
    with running_simulator(deals=1) as simulator:
        port = str(urlsplit(simulator.url).port)
        assert main(["serve", "--deals", "1", "--port", port]) == 64
    assert "in use" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "lines"), [(["truth", "deals"], 1), (["stats"], 0)])
def test_a_reader_that_ends_early_is_no_error(command: list[str], lines: int) -> None:
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with running_simulator(deals=300) as simulator:
        client = subprocess.Popen(
            [sys.executable, "-m", "pipedrive_simulator", *command, "--url", simulator.url],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered,
        )  # fmt: skip
        assert client.stdout is not None and client.stderr is not None
        for _ in range(lines):
            assert json.loads(client.stdout.readline())["id"] == 1
        client.stdout.close()
        assert (client.stderr.read(), client.wait(30)) == (b"", 0)
        client.stderr.close()


def test_truths_longer_than_one_message_arrive_whole() -> None:
    with running_simulator(deals=1100) as simulator:
        assert [deal["id"] for deal in simulator.truth("deals")] == list(range(1, 1101))


def test_calls_are_logged_on_request_and_stdout_names_the_address() -> None:
    command = [sys.executable, "-m", "pipedrive_simulator", "serve", "--deals", "6"]
    process = subprocess.Popen(
        [*command, "--log-requests"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.split(" at ")[1].split()[0]
    running = RunningSimulator(url, "demo-token", "demo", _client(url))
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                get(running, "/api/v2/deals?limit=1")
                break
            except OSError:
                time.sleep(0.02)
    finally:
        process.terminate()
        _, log = process.communicate(timeout=10)
    assert line.startswith("serving 6 deals at http://127.0.0.1:")
    assert log.splitlines() == ["GET /api/v2/deals?limit=1 200"]
