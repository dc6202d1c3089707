"""`make up`: everything started, wired and scheduled; and what Grafana would ask of it is there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import contract
import psycopg
import pytest
import redis
from observability_helpers import COMMANDS, Machine, Prometheus, processes, until

from pipeboard.local.processes import TrackedProcess
from pipeboard.local.simulator import Account, Simulator

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus") or not shutil.which("prometheus-pushgateway"),
    reason="prometheus or prometheus-pushgateway is not installed: `make up` was NOT tested",
)
pytestmark = [needs_prometheus, pytest.mark.long]
SERVICES = {"redis", "pushgateway", "metrics-server", "prometheus", "schedule"}

#: Panels that have nothing to show beside a healthy first run, and why.
EMPTY = {
    "failures: Since the last run that failed": "no run failed",
    "failures: Alerts": "none fires",
    "failures: The last 50 runs that did not succeed": "all did",
    "api: 429 by endpoint, last run": "nothing was refused",
    "api: Retries, by reason": "nothing was",
    "api: Failed requests, by endpoint and reason": "nothing was",
    "backfill: Days left, at the speed of the last day": "no history was read since yesterday",
    "memory: Used of the limit, last run": "outside Kubernetes nothing limits it",
    "memory: Peak of a run": "its second query: the limit, see above",
    "platform: Pushes refused": "none was",
    "quality: Streams not read to their end, last run": "each was",
    "quality: Set aside, last run": "nothing was",
    "quality: Rows that failed a test": "none, unless the account has some",
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("account"), COMMANDS / "pipedrive-simulator")
    simulator.start(Account(deals=80, seed=5))
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
def machine(account: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    ready = account.ready()
    assert ready is not None
    found = Machine(
        tmp_path_factory.mktemp("local state"),
        {
            "PIPEDRIVE_API_TOKEN": ready["token"],
            "PIPEDRIVE_API_URL": ready["url"],
            "PIPEBOARD_SCRAPE_SECONDS": "1",
        },
    )
    yield found
    assert found.run("stop", "--forget").returncode == 0


@pytest.fixture(scope="module")
def up(machine: Machine) -> str:
    outcome = machine.run("up")
    assert outcome.returncode == 0, outcome.stdout
    return outcome.stdout


@pytest.fixture(scope="module")
def prometheus(up: str) -> Prometheus:
    found = re.search(r"^prometheus +started, (http://[\d.:]+)", up, re.MULTILINE)
    assert found, up
    return Prometheus(found[1])


def lines(services: str) -> dict[str, str]:
    """Return the printed lines as {first word: rest}."""
    pairs = [line.split(maxsplit=1) for line in services.splitlines() if " " in line.strip()]
    return {pair[0]: pair[1] for pair in pairs}


def running(machine: Machine) -> dict[str, TrackedProcess]:
    """Return the processes of the services that run."""
    files = (machine.state / "up").glob("*/*/process.json")
    records = {f"{path.parts[-3]} {path.parts[-2]}": TrackedProcess.load(path) for path in files}
    return {name: found for name, found in records.items() if found and found.is_running()}


def test_every_service_is_started_or_named_as_missing(up: str) -> None:
    services = lines(up)
    for name in SERVICES:
        assert services[name].startswith("started, "), up
    assert services["schedule"].endswith(
        "sync at */30 * * * *; sweep at 40 3 * * *; reference at 10 5 * * *"
    )
    for name in ("grafana", "metabase"):
        assert services[name].startswith("not here: no package"), up


def test_a_second_up_starts_nothing_twice(machine: Machine, up: str) -> None:
    before = running(machine)
    assert before.keys() == {f"own {name}" for name in SERVICES}
    again = machine.run("up")
    assert again.returncode == 0, again.stdout
    for name in SERVICES:
        assert lines(again.stdout)[name].startswith("runs already, "), again.stdout
    assert running(machine) == before


def test_a_scheduled_run_is_on_record(machine: Machine, prometheus: Prometheus) -> None:
    """The scheduler started it: no other run was started."""
    until(
        "the first scheduled sync in Prometheus",
        lambda: (
            prometheus.value('pipedrive_etl_last_run_status{pipeline="main"}') == 1
            and prometheus.value('pipedrive_etl_last_success_timestamp_seconds{pipeline="main"}')
        ),
        240,
    )
    assert prometheus.value('pipedrive_etl_runs_total{pipeline="main", result="succeeded"}') == 1
    assert {found["metric"]["job"] for found in prometheus.query("up == 1")} == {
        *("prometheus", "pushgateway", "metrics-server")
    }
    # How many deals the metrics server counts in the warehouse, and the tap read.
    assert prometheus.value("sum(pipedrive_etl_warehouse_history_deals)")
    # A run is in the ledger, so in Prometheus, before its process has ended: wait for the end.
    log = machine.state / "logs" / "schedule.log"
    ended = r"sync +\d{4}-\d\d-\d\d [\d:]+  ended with (\d+) after \d+ s\n"
    until("the end of the sync in the schedule's log", lambda: re.search(ended, log.read_text()))
    assert set(re.findall(ended, log.read_text())) == {"0"}


def test_runs_are_wired_to_what_was_started(machine: Machine, up: str) -> None:
    shown = machine.run("env").stdout
    found = re.search(r"REDIS_URL='?(redis://[^'\s]+)", shown)
    assert found, shown
    with redis.Redis.from_url(found[1]) as home:
        assert home.ping()
    with (
        redis.Redis.from_url(re.sub("//.*@", "//", found[1])) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert re.search(r"PUSHGATEWAY_URL=http://127\.0\.0\.1:\d+", shown)
    assert found[1] not in up, "its password is nobody's business"


def test_the_tap_shares_its_limits_through_redis(machine: Machine, prometheus: Prometheus) -> None:
    test_a_scheduled_run_is_on_record(machine, prometheus)
    found = re.search(r"REDIS_URL='?(redis://[^'\s]+)", machine.run("env").stdout)
    assert found
    with redis.Redis.from_url(found[1]) as home:
        assert home.dbsize() > 0, "the scheduled run stored its token ledger there"


def test_doctor_and_status_know_of_it(machine: Machine, prometheus: Prometheus) -> None:
    doctor = machine.run("doctor")
    services = lines(doctor.stdout)
    assert doctor.returncode == 0, doctor.stdout
    assert services["redis"].startswith("ok: ") and services["pushgateway"].startswith("ok: ")
    status = machine.run("status").stdout
    for name in SERVICES:
        assert re.search(rf"^ +{name} +runs ", status, re.MULTILINE), status
    assert re.search(r"sync \d\d:[03]0, sweep 03:40, reference 05:10", status), status


@pytest.fixture(scope="module")
def seen(machine: Machine, prometheus: Prometheus) -> Prometheus:
    """Prometheus, after a run, a build and some scrapes."""
    test_a_scheduled_run_is_on_record(machine, prometheus)
    until(
        "three scrapes since the run",
        lambda: (
            (
                prometheus.value(
                    'count_over_time(pipedrive_etl_runs_total{result="succeeded"}[1h])'
                )
                or 0
            )
            >= 3
        ),
    )
    until("the loader's metrics", lambda: prometheus.query("pipedrive_etl_warehouse_rows"))
    return prometheus


def test_every_panel_has_data_or_a_reason(machine: Machine, seen: Prometheus) -> None:
    without, wrong = set(), []
    for panel in contract.panel_queries():
        if panel.is_sql:
            continue
        try:
            # What Grafana puts in the variable's place when all are chosen.
            if not seen.query(panel.text.replace("$pipeline", ".*")):
                without.add(panel.where)
        except AssertionError as error:
            wrong.append(f"{panel.where}: {error}")
    assert not wrong
    assert without - EMPTY.keys() == set(), "no data, and no reason"


def test_every_sql_panel_has_rows_or_a_reason(machine: Machine, seen: Prometheus) -> None:
    found = re.search(r"PIPEBOARD_DATABASE_URL=(\S+)", machine.run("env").stdout)
    assert found
    queries = 0
    with psycopg.connect(found[1].strip("'"), autocommit=True) as connection:
        for panel in contract.panel_queries():
            if panel.is_sql:
                queries += 1
                rows = connection.execute(panel.text.encode()).fetchall()
                assert rows or panel.where in EMPTY, f"{panel.where}: no rows, and no reason"
    assert queries


def test_reasons_are_for_existing_panels() -> None:
    assert EMPTY.keys() <= {panel.where for panel in contract.panel_queries()}


def test_the_demo_has_services_of_its_own_and_stop_ends_all(machine: Machine, up: str) -> None:
    """A running run ends, too, by SIGTERM."""
    demo = machine.run("up", "--demo", PIPEBOARD_DEMO_DEALS="60")
    assert demo.returncode == 0, demo.stdout
    for name in SERVICES:
        assert lines(demo.stdout)[name].startswith("started, "), demo.stdout
    log = machine.state / "logs" / "demo-schedule.log"
    until("a scheduled run of the demo", lambda: "begins" in log.read_text(), 60)
    until(
        "a running Meltano",
        lambda: any(
            "--environment=demo" in arguments for arguments in processes(machine.state).values()
        ),
        90,
    )
    before = running(machine)
    assert len(before) == 2 * len(SERVICES)
    stopped = machine.run("stop")
    assert stopped.returncode == 0, stopped.stdout
    for name in SERVICES:
        assert stopped.stdout.count(f"the {name} of `up`") == 2, stopped.stdout
    assert processes(machine.state) == {}
    assert not any(found.is_running() for found in before.values())
    assert "embedded one not running" in machine.run("status").stdout
    assert re.search(r"sync .* ended with (143|0) ", log.read_text()), log.read_text()
    assert machine.run("stop").stdout == "nothing was running\n"


def test_a_restart_has_the_same_ports_and_data(machine: Machine, prometheus: Prometheus) -> None:
    """The test above stopped everything; what was measured before is still there afterwards."""
    again = machine.run("up")
    assert again.returncode == 0, again.stdout
    assert lines(again.stdout)["prometheus"].startswith(f"started, {prometheus.url}")
    assert prometheus.query("max_over_time(pipedrive_etl_last_run_status[1h])")
    assert machine.run("stop").returncode == 0
