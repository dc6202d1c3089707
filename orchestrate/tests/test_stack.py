from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import yaml

from pipeboard.console import Console
from pipeboard.environments import OWN, own_environment
from pipeboard.errors import PipeboardError
from pipeboard.local.schedule import claim
from pipeboard.local.stack import Stack, prometheus_config
from pipeboard.paths import Paths

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "postgresql://pipeboard:secret@127.0.0.1:5432/pipeboard"


def test_what_is_not_installed_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    paths, out = Paths(tmp_path), io.StringIO()
    (tmp_path / "meltano.yml").write_text("schedules: []")
    environment = own_environment(paths, {}, DATABASE, embedded=False)
    held = claim(paths, OWN, "prefect")
    started = Stack(paths, OWN).up(environment, {}, Console(out))
    os.close(held)
    output = out.getvalue()
    assert started.code == 0, "all of this is optional"
    for name, text in (
        ("redis", "apt install redis-server"),
        ("pushgateway", "apt install prometheus-pushgateway"),
        ("prometheus", "apt install prometheus)"),
        ("metrics-server", "Python 3.11"),
        ("grafana", "docker compose up grafana"),
        ("metabase", "docker compose up metabase"),
    ):
        assert any(
            line.startswith(name) and "not here" in line and text in line
            for line in output.splitlines()
        ), f"{name}: {output}"
    assert "prefect has it; no other one is started" in output
    assert Stack(paths, OWN).environ() == {}
    assert Stack(paths, OWN).stop() == []


def test_services_of_the_user_are_used_and_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    paths, out = Paths(tmp_path), io.StringIO()
    (tmp_path / "meltano.yml").write_text("schedules: []")
    given = {"REDIS_URL": "redis://:hidden@cache:6379/0", "PUSHGATEWAY_URL": "gateway:9091"}
    held = claim(paths, OWN, "prefect")
    Stack(paths, OWN).up(own_environment(paths, given, DATABASE, False), given, Console(out))
    os.close(held)
    assert "yours, cache:6379 (REDIS_URL)" in out.getvalue()
    assert "yours, gateway:9091 (PUSHGATEWAY_URL)" in out.getvalue()
    assert "hidden" not in out.getvalue()


def test_prometheus_scrapes_what_runs() -> None:
    targets = {"prometheus": "http://127.0.0.1:1", "pushgateway": "https://user:pw@gateway/"}
    config = yaml.safe_load(prometheus_config(ROOT, targets, None))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs.keys() == targets.keys()
    assert jobs["pushgateway"]["static_configs"] == [{"targets": ["gateway"]}]
    assert (jobs["pushgateway"]["scheme"], jobs["pushgateway"]["honor_labels"]) == ("https", True)
    assert [Path(name).is_file() for name in config["rule_files"]] == [True]
    assert config["global"]["scrape_interval"] == "30s", "as shipped"


def test_prometheus_scrapes_at_the_configured_interval() -> None:
    targets = {"metrics-server": "http://127.0.0.1:2"}
    config = yaml.safe_load(prometheus_config(ROOT, targets, "1"))
    assert config["global"] == {"scrape_interval": "1s", "evaluation_interval": "1s"}
    assert "scrape_interval" not in config["scrape_configs"][0]
    with pytest.raises(PipeboardError, match="PIPEBOARD_SCRAPE_SECONDS is 'often'"):
        prometheus_config(ROOT, targets, "often")


def test_two_environments_have_services_of_their_own(tmp_path: Path) -> None:
    own, demo = Stack(Paths(tmp_path), "own"), Stack(Paths(tmp_path), "demo")
    assert own.part("redis").folder != demo.part("redis").folder
    assert own.part("redis").log != demo.part("redis").log
