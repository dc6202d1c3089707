"""The first five alerts fire and resolve on a real Prometheus, fed by real runs of the supervisor.

The shipped rules are in minutes and hours. Here time runs FACTOR times faster: every duration and
every number of seconds in a rule is divided by it, and nothing else is changed, except that every
hour counts as a working one (tests run at night too). An hour is six seconds.

Runs read a simulated account and load it into a real database; `elt`, which is `sync` by another
name, goes without dbt here, so that a good run takes seconds.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import contract
import pytest
import yaml
from contract import ROOT
from observability_helpers import COMMANDS, Machine, Prometheus, answers, until
from pipedrive_simulator.client import ControlClient

from pipeboard.local.daemon import Daemon, ServiceSpec
from pipeboard.local.loopback import free_port
from pipeboard.local.simulator import Account, Simulator

FACTOR = 600
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
LIVE = ["EtlNotSucceeding", "EtlNeverPushed", "EtlLastRunFailed", "EtlSlow", "EtlNoRecords"]

needs_prometheus = pytest.mark.skipif(
    not shutil.which("prometheus") or not shutil.which("prometheus-pushgateway"),
    reason="prometheus or prometheus-pushgateway is not installed: no alert was tested live",
)


def shorter(duration: str) -> str:
    """Divide a duration of Prometheus."""
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", duration).groups()  # type: ignore[union-attr]
    return f"{round(int(number) * SECONDS[unit] * 1000 / FACTOR)}ms"


def faster(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule FACTOR times faster, at any hour."""
    expr = str(rule["expr"])
    expr = re.sub(r"\[(\d+[smhd])\]", lambda found: f"[{shorter(found[1])}]", expr)
    # Numbers of three digits and more are seconds: 600, 5400, 6 * 3600.
    expr = re.sub(r"(?<![\w.])\d{3,}(?![\w.])", lambda found: f"({found[0]} / {FACTOR})", expr)
    expr = expr.replace("hour() >= 11 < 21", "hour() >= 0")
    expr = expr.replace("day_of_week() >= 1 < 6", "day_of_week() >= 0")
    return {**rule, "expr": expr, **({"for": shorter(rule["for"])} if "for" in rule else {})}


def test_the_faster_rules_differ_only_in_time() -> None:
    rules = contract.alerts()
    assert list(rules)[:5] == LIVE, "the first five"
    quick = {name: faster(rule) for name, rule in rules.items()}
    assert quick["EtlNotSucceeding"]["expr"].endswith("> (5400 / 600)")
    assert quick["EtlNotSucceeding"]["for"] == "500ms"
    assert "[7000ms]" in quick["EtlLastRunFailed"]["expr"]
    assert "> (600 / 600)" in quick["EtlSlow"]["expr"] and "1.5 *" in quick["EtlSlow"]["expr"]
    assert "hour() >= 0)" in quick["EtlNoRecords"]["expr"]
    for name, rule in rules.items():
        assert rule["labels"] == quick[name]["labels"]


@dataclass
class Site:
    """An account, a machine that syncs it, and a Prometheus that watches it."""

    machine: Machine
    account: ControlClient
    prometheus: Prometheus

    def fires(self, *names: str, seconds: float = 90) -> None:
        for name in names:
            until(f"{name} to fire", lambda name=name: name in self.prometheus.firing(), seconds)

    def resolves(self, *names: str, seconds: float = 90) -> None:
        for name in names:
            until(
                f"{name} to resolve",
                lambda name=name: name not in self.prometheus.firing(),
                seconds,
            )


def project(folder: Path) -> Path:
    """Return this checkout with an `elt` that only loads."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in ("meltano.yml", ".env"):
            (folder / path.name).symlink_to(path)
    text = (ROOT / "meltano.yml").read_text()
    elt = "  - name: elt\n    tasks:\n      - tap-pipedrive target-postgres"
    assert f"{elt} dbt:changed\n" in text
    (folder / "meltano.yml").write_text(text.replace(f"{elt} dbt:changed\n", f"{elt}\n"))
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    simulator = Simulator(tmp_path / "account", COMMANDS / "pipedrive-simulator")
    ready = simulator.start(Account(deals=40, seed=3))
    ports = {"gateway": free_port(), "prometheus": free_port()}
    gateway, watcher = (Daemon(n, tmp_path / n, tmp_path / f"{n}.log") for n in ports)
    url = f"http://127.0.0.1:{ports['gateway']}"
    address = f"127.0.0.1:{ports['prometheus']}"
    machine = Machine(
        tmp_path / "local state",
        {
            "MELTANO_PROJECT_ROOT": str(project(tmp_path / "project")),
            "PIPEDRIVE_API_TOKEN": ready["token"],
            "PIPEDRIVE_API_URL": ready["url"],
            "PUSHGATEWAY_URL": url,
        },
    )
    groups = yaml.safe_load(contract.RULES.read_text())["groups"]
    quick = [{**group, "rules": [faster(rule) for rule in group["rules"]]} for group in groups]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": quick}))
    scrape = {"job_name": "pushgateway", "honor_labels": True}
    scrape["static_configs"] = [{"targets": [url.removeprefix("http://")]}]
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "250ms"},
        "rule_files": [str(tmp_path / "rules.yml")],
        "scrape_configs": [scrape],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    try:
        arguments = ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{ports['gateway']}"]
        arguments += [f"--persistence.file={tmp_path / 'metrics'}"]
        gateway.start(ServiceSpec(arguments, {}, lambda: answers(f"{url}/-/ready")))
        arguments = ["prometheus", f"--config.file={tmp_path / 'prometheus.yml'}"]
        arguments += [f"--web.listen-address={address}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        watcher.start(ServiceSpec(arguments, {}, lambda: answers(f"http://{address}/-/ready")))
        yield Site(machine, ControlClient(ready["url"]), Prometheus(f"http://{address}"))
    finally:
        watcher.stop()
        gateway.stop()
        simulator.stop()
        assert machine.run("stop", "--forget").returncode == 0


# On every other day, when the flows in tests/prefect are for the night; promtool's tests of rules
# show the same of every alert, without a Prometheus.
@(pytest.mark.nightly if date.today().toordinal() % 2 else pytest.mark.long)
@needs_prometheus
def test_the_first_five_alerts_fire_and_resolve(site: Site) -> None:
    run = site.machine.run
    # Nothing but a failure so far.
    failed = run("run", "elt", PIPEDRIVE_API_TOKEN="renewed")
    assert failed.returncode == 77, failed.stdout
    site.fires("EtlNeverPushed", "EtlLastRunFailed")
    assert not site.prometheus.firing() & {"EtlNotSucceeding", "EtlSlow", "EtlNoRecords"}

    # A good run, in which no deal is visible; and it takes several times as long as the one before.
    nothing = {"PIPEDRIVE_START_DATE": "2099-01-01"}
    empty = run("run", "elt", **nothing)
    assert empty.returncode == 0, empty.stdout
    site.resolves("EtlNeverPushed", "EtlLastRunFailed")
    site.fires("EtlSlow")
    assert "EtlNoRecords" not in site.prometheus.firing(), "only after four hours of it"

    # One that hangs, and is ended by the supervisor; nothing succeeds meanwhile.
    site.account.call("POST", "faults", {"kind": "hang", "operation": "getPersons"})
    hanging = subprocess.Popen(
        [str(COMMANDS / "pipeboard"), "run", "elt", "--stall", "6"],
        env=site.machine.environ(**nothing),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        site.fires("EtlNotSucceeding", "EtlHanging")
        assert hanging.wait(90) == 69
    finally:
        if hanging.poll() is None:
            hanging.send_signal(signal.SIGTERM)
            hanging.wait(40)
    site.fires("EtlNoRecords", "EtlLastRunFailed")

    # A good one with deals ends all of it.
    site.account.call("DELETE", "faults")
    good = run("run", "elt", "--full-refresh")
    assert good.returncode == 0, good.stdout
    site.resolves("EtlNotSucceeding", "EtlNoRecords", "EtlLastRunFailed", "EtlHanging", "EtlSlow")
