"""What is declared, shown, alerted on and documented is the same set of metrics."""

from __future__ import annotations

import itertools
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import contract
import pytest
import yaml

from pipeboard.outcomes import STATUSES

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: the rules were NOT tested"
)
LABELS = {name: labels for part in contract.declared().values() for name, labels in part.items()}


def test_each_metric_is_declared_once() -> None:
    for (one, metrics), (other, other_metrics) in itertools.combinations(
        contract.declared().items(), 2
    ):
        assert not metrics.keys() & other_metrics.keys(), f"{one} and {other} declare the same"


def test_dashboards_and_rules_use_what_is_declared_and_nothing_else() -> None:
    used = {name for query in contract.queries() for name in contract.METRIC.findall(query.text)}
    silent = contract.unused_on_purpose()
    assert used - LABELS.keys() == set(), "used, and nobody declares it"
    assert silent - LABELS.keys() == set(), "in the guide, and nobody declares it"
    assert used & silent == set(), "shown, and the guide says it is not"
    assert LABELS.keys() - used - silent == set(), "declared, neither shown nor in the guide"


def test_queries_match_labels_that_the_metric_has() -> None:
    for query in contract.queries():
        for name, matchers in contract.SELECTED.findall(query.text):
            labels = set(contract.MATCHED.findall(matchers))
            assert labels <= LABELS[name] | contract.GIVEN, f"{query.where}: {name}{{{matchers}}}"


def test_what_is_recorded_is_used() -> None:
    recorded = {rule["record"] for rule in contract.rules() if "record" in rule}
    used = {name for q in contract.queries() for name in contract.RECORDED.findall(q.text)}
    assert recorded == used


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    written = {path.stem for path in contract.RUNBOOKS.glob("*.md")}
    assert written == contract.alerts().keys()
    for name in written:
        text = (contract.RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n"), name
        assert "\n## Check\n" in text, name
        assert "\n## Do\n" in text, name
        for target in contract.re.findall(r"\]\((\w+)\.md\)", text):
            assert target in written, f"{name} links to {target}"


def test_each_alert_says_what_to_do() -> None:
    uids = {f"/d/pipeboard-{path.stem}" for path in contract.DASHBOARDS}
    for name, alert in contract.alerts().items():
        assert alert["labels"]["severity"] in ("page", "warning", "info"), name
        notes = alert["annotations"]
        assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}, name
        assert notes["runbook_url"] == f"docs/runbooks/{name}.md"
        assert notes["dashboard_url"] in uids, name


def test_each_alert_fires_and_resolves_in_a_unit_test() -> None:
    seen: dict[str, list[tuple[int, bool]]] = {}
    for path in contract.RULE_TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for number, check in enumerate(case["promql_expr_test"]):
                for name in contract.re.findall(r'alertname="(\w+)"', check["expr"]):
                    seen.setdefault(name, []).append((number, bool(check["exp_samples"])))
    assert seen.keys() == contract.alerts().keys()
    for name, checks in seen.items():
        fired = [number for number, fires in checks if fires]
        assert fired, f"{name} never fires"
        assert any(number < min(fired) for number, fires in checks if not fires), name
        assert any(number > min(fired) for number, fires in checks if not fires), name


@needs_promtool
@pytest.mark.long
def test_promtool_accepts_the_rules() -> None:
    for arguments in (
        ["check", "config", "--syntax-only", str(contract.RULES.parent / "prometheus.yml")],
        ["check", "rules", str(contract.RULES)],
        ["test", "rules", *map(str, contract.RULE_TESTS)],
    ):
        outcome = subprocess.run(
            [str(PROMTOOL), *arguments], text=True, capture_output=True, check=False
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_the_dashboards_are_what_their_definitions_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    generator, folder = contract.COMPONENTS / "grafana" / "generate", tmp_path / "dashboards"
    for module in ("panels", "dashboards"):
        sys.modules.pop(module, None)
    monkeypatch.setattr(sys, "argv", [str(generator), str(folder)])
    runpy.run_path(str(generator), run_name="__main__")
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {path.name: path.read_text() for path in contract.DASHBOARDS}, (
        "run python k8s/components/grafana/generate"
    )


def test_panels_have_title_query_and_unit() -> None:
    for query in contract.panel_queries():
        panel = query.panel
        assert panel is not None
        assert panel["title"], query.where
        assert panel["fieldConfig"]["defaults"]["unit"], query.where
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None, query.where
        runbook = panel["description"].partition("Runbook: ")[2]
        assert not runbook or Path(contract.ROOT / runbook).is_file(), query.where


def test_panels_do_not_overlap() -> None:
    for path in contract.DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in contract.json.loads(path.read_text())["panels"]:
            at = panel["gridPos"]
            cells = set(
                itertools.product(
                    range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
                )
            )
            assert not cells & taken, f"{path.stem}: {panel['title']}"
            assert max(x for x, _ in cells) < 24, f"{path.stem}: {panel['title']}"
            taken |= cells


def test_every_alert_that_the_table_of_outcomes_names_is_there() -> None:
    named = {status.alert for status in STATUSES.values() if status.alert}
    assert named <= contract.alerts().keys()
    assert contract.alerts()["EtlIncomplete"]["labels"]["severity"] == "page"
    assert {name for name, status in STATUSES.items() if status.is_success} == {
        *("succeeded", "behind")
    }
    assert not any(status.alert for status in STATUSES.values() if status.is_success)
