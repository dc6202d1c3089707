"""Allowed connections: the policies of an overlay, evaluated like a cluster's network."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Rendered

NAME = "app.kubernetes.io/name"
# Every connection that the installation needs, and connections that must be denied.
WANTED = {
    ("pipeboard", "postgres", 5432),
    ("pipeboard", "redis", 6379),
    ("pipeboard", "pushgateway", 9091),
    ("pipeboard", "metabase", 3000),
    ("metrics-server", "postgres", 5432),
    ("grafana", "postgres", 5432),
    ("grafana", "prometheus", 9090),
    ("metabase", "postgres", 5432),
    ("prometheus", "pushgateway", 9091),
    ("prometheus", "metrics-server", 9560),
    ("prometheus", "metabase", 9191),
    ("prometheus", "grafana", 3000),
}
WITH_PREFECT = {
    ("pipeboard", "prefect-server", 4200),
    ("prefect-worker", "prefect-server", 4200),
    ("prefect-server", "postgres", 5432),
}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True


def allowed(
    policies: list[dict[str, Any]], kind: str, of: dict[str, str], peer: dict[str, str], port: int
) -> bool:
    """Tell whether a policy on `of` lets traffic from or to `peer` pass, in one namespace."""
    side, peers = ("ingress", "from") if kind == "Ingress" else ("egress", "to")
    for policy in policies:
        spec = policy["spec"]
        if not selects(spec["podSelector"], of) or kind not in spec["policyTypes"]:
            continue
        for rule in spec.get(side, []):
            ports = [p["port"] for p in rule.get("ports", [])]
            among = rule.get(peers)
            fits = among is None or any(
                "namespaceSelector" not in p
                and selects(p.get("podSelector", {"matchLabels": {"": ""}}), peer)
                for p in among
                if "ipBlock" not in p
            )
            if fits and (not ports or port in ports):
                return True
    return False


def connections(overlay: Rendered) -> set[tuple[str, str, int]]:
    policies = overlay.of_kind("NetworkPolicy")
    pods = {t["metadata"]["labels"][NAME]: t["metadata"]["labels"] for _, t in overlay.pods()}
    ports = {
        (service["spec"]["selector"][NAME], port["port"])
        for service in overlay.of_kind("Service")
        for port in service["spec"]["ports"]
    }
    return {
        (source, target, port)
        for source, source_labels in pods.items()
        for target, port in ports
        if source != target
        and allowed(policies, "Egress", source_labels, pods[target], port)
        and allowed(policies, "Ingress", pods[target], source_labels, port)
    }


def test_only_the_wanted_connections_pass(rendered: dict[str, Rendered]) -> None:
    assert connections(rendered["minikube"]) == WANTED
    assert connections(rendered["minikube-prefect"]) == WANTED | WITH_PREFECT
    outside = {wanted for wanted in WANTED if wanted[1] != "postgres"}
    assert connections(rendered["prod"]) == outside


def test_without_a_policy_of_its_own_a_pod_reaches_nothing(overlay: Rendered) -> None:
    (deny,) = [
        p
        for p in overlay.of_kind("NetworkPolicy")
        if p["spec"]["podSelector"] == {}
        and "ingress" not in p["spec"]
        and "egress" not in p["spec"]
    ]
    assert sorted(deny["spec"]["policyTypes"]) == ["Egress", "Ingress"]
    selected = {
        p["spec"]["podSelector"]["matchLabels"][NAME]
        for p in overlay.of_kind("NetworkPolicy")
        if p["spec"]["podSelector"].get("matchLabels")
    }
    for name, template in overlay.pods():
        assert template["metadata"]["labels"][NAME] in selected, name


@pytest.mark.parametrize("private", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])
def test_access_to_the_internet_excludes_the_cluster(overlay: Rendered, private: str) -> None:
    rules = overlay.one("NetworkPolicy", "jobs")["spec"]["egress"]
    (internet,) = [r for r in rules if any("ipBlock" in peer for peer in r["to"])]
    assert internet["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert private in internet["to"][0]["ipBlock"]["except"]


def crosses(rules: list[dict[str, Any]], side: str, there: Rendered, name: str) -> bool:
    """Tell whether a rule lets pods called `name` in the namespace of another overlay pass."""
    (namespace,) = there.of_kind("Namespace")
    labels = {
        **namespace["metadata"]["labels"],
        "kubernetes.io/metadata.name": namespace["metadata"]["name"],
    }
    return any(
        selects(peer["namespaceSelector"], labels) and selects(peer["podSelector"], {NAME: name})
        for rule in rules
        for peer in rule.get(side, [])
        if "namespaceSelector" in peer
    )


def test_accounts_share_only_redis_and_prometheus(
    rendered: dict[str, Rendered],
) -> None:
    """Both sides of each way: out of the one namespace, and into the other."""
    shared, account = rendered["prod"], rendered["account-template"]

    def rules(overlay: Rendered, policy: str, side: str) -> list[dict[str, Any]]:
        return overlay.one("NetworkPolicy", policy)["spec"].get(side, [])

    assert crosses(rules(account, "shared", "egress"), "to", shared, "redis")
    assert crosses(rules(shared, "redis", "ingress"), "from", account, "pipeboard")
    assert crosses(rules(shared, "prometheus", "egress"), "to", account, "pushgateway")
    assert crosses(rules(account, "pushgateway", "ingress"), "from", shared, "prometheus")
    for name in ("grafana", "metabase", "metrics-server", "prometheus", "pushgateway"):
        assert not crosses(rules(shared, name, "ingress"), "from", account, "pipeboard"), name
