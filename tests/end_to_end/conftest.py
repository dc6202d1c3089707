"""The whole pipeline as a person runs it: simulator, tap, loader and dbt, through `pipeboard`.

Runs take half a minute each, so tests share them: a fixture runs, tests look at what it left.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.services import Services
from pipeboard.local.simulator import Account, Simulator
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / ".pipeboard" / "bin"
DEALS, CHANGES = 600, 20
#: Modules that `make test` leaves out: each makes an account of its own and many runs.
LONG = {
    *("test_backfill", "test_faults", "test_outcomes", "test_roles", "test_secrets"),
    *("test_signals", "test_sweep"),
}
#: Of each pair of modules one is for the day and the other one for the night, in turn.
TURNS = (("test_roles", "test_secrets"), ("test_faults", "test_outcomes"))
#: Modules for the night: the tap's own tests show what two of them show, there without a warehouse,
#: and test_faults shows some of what test_build_faults does.
NIGHTLY = {"test_build_faults", "test_cadence", "test_other_target"}
T = TypeVar("T")
TODAY = date.today().toordinal() % 2
PERSONAL = ("PIPEDRIVE_", "MELTANO_", "DBT_", "TAP_", "TARGET_", "PG", "REDIS_", "PUSHGATEWAY_")


def pytest_configure(config: pytest.Config) -> None:
    """Show what a test leaves open; elsewhere it is an error.

    The garbage collector reports it in a later test, and these take minutes to repeat.
    """
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the tests of a module: they share a set-up, and change it."""
    for item in items:
        item.add_marker(pytest.mark.random_order(disabled=True))
        if item.path.stem in LONG:
            item.add_marker(pytest.mark.long)
        if item.path.stem in NIGHTLY | {pair[1 - TODAY] for pair in TURNS}:
            item.add_marker(pytest.mark.nightly)


@dataclass(frozen=True)
class Run:
    """Output, exit code and duration of one command."""

    code: int
    out: str
    err: str
    seconds: float
    report: dict[str, Any]

    def rows(self, stream: str) -> int:
        return int(self.report["streams"][stream]["records"])

    def calls(self, stream: str) -> int:
        return int(self.report["streams"][stream]["calls"])


@dataclass(frozen=True)
class Checkout:
    """This checkout with local state of its own, in a path with spaces."""

    state: Path

    @property
    def services(self) -> Services:
        os.environ["PIPEBOARD_STATE_DIR"] = str(self.state)
        return Services(Paths(ROOT))

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(PERSONAL)}
        # Empty variables override a developer's own .env.
        clean |= dict.fromkeys(("PIPEDRIVE_API_TOKEN", "PIPEDRIVE_API_URL"), "")
        clean |= dict.fromkeys(("PIPEDRIVE_COMPANY_DOMAIN", "PIPEBOARD_DATABASE_URL"), "")
        return {**clean, "PIPEBOARD_STATE_DIR": str(self.state), **given}

    def run(self, *arguments: str, name: str = "pipeboard", **environ: str) -> Run:
        """Run one of the commands."""
        began = time.monotonic()
        outcome = subprocess.run(
            [str(COMMANDS / name), *arguments],
            cwd=ROOT,
            env=self.environ(environ),
            text=True,
            capture_output=True,
            check=False,
        )
        report = self.state / "reports" / f"{'demo' if 'demo' in arguments else 'dev'}.json"
        return Run(
            outcome.returncode,
            outcome.stdout,
            outcome.stderr,
            time.monotonic() - began,
            json.loads(report.read_text()) if report.exists() else {},
        )

    def query(self, database: str, query: str) -> list[tuple[Any, ...]]:
        """Query one of the embedded databases."""
        urls = self.services.postgres.urls(database)
        assert urls is not None, "the embedded PostgreSQL does not run"
        with psycopg.connect(urls[database]) as connection:
            return connection.execute(query.encode()).fetchall()


def by_day(*cases: tuple[Any, ...]) -> list[Any]:
    """Mark all cases but one for the night: the day chooses which one."""
    today = date.today().toordinal() % len(cases)
    return [
        pytest.param(*case, marks=[] if number == today else pytest.mark.nightly)
        for number, case in enumerate(cases)
    ]


def every_other_day(which: int) -> Callable[[T], T]:
    """Leave a test for the night on every other day: 0 and 1 are tests that take turns."""
    if which == TODAY:
        return lambda test: test
    return pytest.mark.nightly


def truth(simulator: Simulator, name: str) -> Iterator[dict[str, Any]]:
    """Yield the records of an account, read past its API."""
    ready = simulator.ready()
    assert ready is not None, "the simulated account does not run"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{ready['url']}/_control/truth/{name}", timeout=60) as answer:
        yield from map(json.loads, answer)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    found = Checkout(tmp_path_factory.mktemp("local state"))
    yield found
    assert found.run("stop", "--forget").code == 0


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of all sites, which exist one after the other."""
    found = EmbeddedPostgres(tmp_path_factory.mktemp("postgres of sites"))
    yield found
    found.destroy()


@pytest.fixture(scope="session")
def first_demo(checkout: Checkout) -> Run:
    return checkout.run("demo", "--deals", str(DEALS), "--changes", str(CHANGES))


@dataclass(frozen=True)
class SecondDemo:
    """The second demo run, and the account's statistics of it."""

    run: Run
    before: dict[str, Any]
    after: dict[str, Any]
    #: What `ops` says at its end: other modules run other syncs of the account, in any order.
    on_record: tuple[Any, ...] = ()

    def calls(self, operation: str) -> int:
        return operation_calls(self.after, operation) - operation_calls(self.before, operation)


def operation_calls(stats: dict[str, Any], operation: str) -> int:
    return int(stats["operations"].get(operation, {}).get("calls", 0))


@pytest.fixture(scope="session")
def second_demo(checkout: Checkout, first_demo: Run) -> SecondDemo:
    assert first_demo.code == 0, first_demo.out + first_demo.err
    before = checkout.services.simulator.stats()
    run = checkout.run("demo", "--deals", str(DEALS), "--changes", str(CHANGES))
    return SecondDemo(run, before, checkout.services.simulator.stats())


@pytest.fixture(scope="session")
def own_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """An account of its own. (Public CRM data: tests/warehouse/test_public_crm.py.)"""
    simulator = Simulator(tmp_path_factory.mktemp("own account"), COMMANDS / "pipedrive-simulator")
    simulator.start(Account(deals=300, seed=7))
    yield simulator
    simulator.stop()


@pytest.fixture(scope="session")
def own_environ(own_account: Simulator) -> dict[str, str]:
    ready = own_account.ready()
    assert ready is not None
    return {"PIPEDRIVE_API_TOKEN": ready["token"], "PIPEDRIVE_API_URL": ready["url"]}


@pytest.fixture(scope="session")
def first_sync(checkout: Checkout, first_demo: Run, own_environ: dict[str, str]) -> Run:
    """A sync of that account beside the demo, into the embedded database."""
    return checkout.run("run", "sync", **own_environ)


@pytest.fixture(scope="session")
def idle_sync(
    checkout: Checkout, first_sync: Run, own_account: Simulator, own_environ: dict[str, str]
) -> SecondDemo:
    """A second sync of it, with nothing changed."""
    before = own_account.stats()
    run = checkout.run("run", "sync", **own_environ)
    (on_record,) = checkout.query(
        "pipeboard",
        "select status, details -> 'dbt', (details -> 'current_models')::int, "
        "(select count(*) from ops.ops_dbt_model_status), "
        "(select count(*) from ops.ops_dbt_model_status where due_because is not null) "
        "from ops.etl_run where job = 'sync' order by started_at desc limit 1",
    )
    return SecondDemo(run, before, own_account.stats(), on_record)
