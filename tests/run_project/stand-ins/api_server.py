"""Stands in for the API server of a cluster: the real kubectl asks it, and it keeps state.

One server serves all tests. The path before /api, /apis and so on is the folder of a test, in which
the objects are files. Server-side apply, dry runs, merge patches, selectors and deletion work.
No program runs: a workload is ready, and a Job complete, as soon as it was applied.

Files in that folder set the rest: `unreachable`; `failing` (a line for each workload or Job that
does not become ready, such as `job/migrate`); `active-jobs` (running Jobs: each listing takes one
line, but of a hundred lines none); `refused` (a regular expression of requests that fail, such as
`GET .*/cronjobs`).
"""

from __future__ import annotations

import copy
import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

GROUPS = {
    "v1": {
        "configmaps": "ConfigMap",
        "events": "Event",
        "namespaces": "Namespace",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "resourcequotas": "ResourceQuota",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "rbac.authorization.k8s.io/v1": {"rolebindings": "RoleBinding", "roles": "Role"},
}
KIND_OF = {plural: kind for group in GROUPS.values() for plural, kind in group.items()}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
OBJECT = re.compile(
    r"/(?:api|apis)/(?P<version>v1|[^/]+/v\d)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)
LONG = 100


def merged(old: object, new: object) -> object:
    """Merge as an apply does; a list is replaced."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}


def without(live: dict, before: dict, now: dict) -> dict:
    """Leave out what a manager applied before and does not apply any longer."""
    remaining = {}
    for key, value in live.items():
        if key in before and key not in now:
            continue
        if all(isinstance(part.get(key), dict) for part in (live, before, now)):
            value = without(value, before[key], now[key])
        remaining[key] = value
    return remaining


def fits(labels: dict[str, str], selector: str) -> bool:
    """Tell whether a label selector selects."""
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        among = re.fullmatch(r"\s*(\S+) (in|notin) \(([^)]*)\)", part)
        if among:
            values = [value.strip() for value in among[3].split(",")]
            found = labels.get(among[1]) in values
            if found != (among[2] == "in"):
                return False
        elif part.startswith("!"):
            if part[1:] in labels:
                return False
        else:
            key, equals, value = part.partition("=")
            if key not in labels or (equals and labels[key] != value.lstrip("=")):
                return False
    return True


class Cluster:
    """The objects of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def setting(self, name: str) -> str:
        path = self.folder / name
        return path.read_text().strip() if path.exists() else ""

    def path(self, kind: str, namespace: str | None, name: str) -> Path:
        return self.folder / "objects" / (namespace or "_") / f"{kind.lower()}.{name}.json"

    def load(self, path: Path) -> dict:
        return json.loads(path.read_text()) if path.exists() else {"object": None, "applied": {}}

    def listed(self, kind: str, namespace: str | None, query: dict[str, str]) -> list[dict]:
        wanted = query.get("fieldSelector", "").removeprefix("metadata.name=") or "*"
        paths = (self.folder / "objects").glob(f"{namespace or '_'}/{kind.lower()}.{wanted}.json")
        found = [self.load(path)["object"] for path in sorted(paths)]
        if kind == "Job" and query.get("labelSelector") == "app.kubernetes.io/name=pipeboard":
            found += self.running_jobs()
        selector = query.get("labelSelector", "")
        return [o for o in found if fits(o["metadata"].get("labels", {}), selector)]

    def running_jobs(self) -> list[dict]:
        lines = self.setting("active-jobs").splitlines()
        if lines and len(lines) < LONG:
            (self.folder / "active-jobs").write_text("\n".join(lines[1:]))
        labels = {"app.kubernetes.io/name": "pipeboard"}
        return [
            {"metadata": {"name": line, "labels": labels}, "status": {"active": 1}}
            for line in lines[:1]
            if line
        ]

    def change(self, path: Path, found: dict, new: dict, *, dry: bool) -> dict:
        live = found["object"]
        metadata = new["metadata"]
        metadata.setdefault("uid", f"uid-of-{path.stem}")
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        changed = live is None or live.get("spec") != new.get("spec")
        metadata["generation"] = metadata.get("generation", 0) + changed
        metadata.setdefault("resourceVersion", "1")
        if new["kind"] == "StatefulSet":
            new["spec"].setdefault("updateStrategy", {"type": "RollingUpdate"})
        status = self.status(new)
        if status:
            new["status"] = status
        if not dry:
            path.parent.mkdir(parents=True, exist_ok=True)
            found["object"] = new
            path.write_text(json.dumps(found, indent=1))
        return new

    def status(self, new: dict) -> dict:
        kind, name = new["kind"], new["metadata"]["name"]
        fails = f"{kind.lower()}/{name}" in self.setting("failing").splitlines()
        if kind == "Job":
            condition = {"type": "Failed" if fails else "Complete", "status": "True"}
            return {"conditions": [condition]}
        if kind not in ("Deployment", "StatefulSet"):
            return {}
        count = new["spec"].get("replicas", 1)
        status = {
            "observedGeneration": new["metadata"]["generation"],
            "replicas": count,
            "updatedReplicas": count,
            "currentRevision": "1",
            "updateRevision": "1",
        }
        # A field that is zero is left out; StatefulSets count no unavailable ones.
        if not fails:
            return {**status, "readyReplicas": count, "availableReplicas": count}
        if kind == "StatefulSet":
            return status
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        return {**status, "unavailableReplicas": count, "conditions": [late]}

    def apply(self, path: Path, given: dict, manager: str, *, dry: bool) -> dict:
        found = self.load(path)
        before = found["applied"].get(manager, {})
        live = without(found["object"] or {}, before, given)
        new = merged(live, given)
        assert isinstance(new, dict)
        if not dry:
            found["applied"][manager] = given
        return self.change(path, found, new, dry=dry)

    def patch(self, path: Path, given: dict) -> dict:
        found = self.load(path)
        new = merged(found["object"], given)
        assert isinstance(new, dict)
        return self.change(path, found, new, dry=False)


class Handler(BaseHTTPRequestHandler):
    """The part of the API that kubectl asks for."""

    protocol_version = "HTTP/1.1"
    # Header and body leave together; apart, each answer would wait 40 ms for the client.
    wbufsize = -1

    def do_GET(self) -> None:
        self.serve()

    do_PATCH = do_DELETE = do_POST = do_GET

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        folder, slash, rest = url.path.partition("/cluster/")
        cluster, path = Cluster(Path(folder) / "cluster"), slash[-1:] + rest
        refused = cluster.setting("refused")
        if cluster.setting("unreachable") or (
            refused and re.fullmatch(refused, f"{self.command} {path}")
        ):
            self.send(503, {"kind": "Status", "status": "Failure", "message": "refused by a test"})
            return
        found = OBJECT.fullmatch(path)
        if found and found["plural"] in KIND_OF:
            self.send(*self.answer(cluster, found.groupdict(), query, body))
        else:
            answer = discovered(path)
            self.send(404 if answer is None else 200, answer or {"kind": "Status", "code": 404})

    def answer(
        self, cluster: Cluster, of: dict[str, str], query: dict[str, str], body: bytes
    ) -> tuple[int, dict]:
        kind, namespace, name = KIND_OF[of["plural"]], of["namespace"], of["name"]
        if kind == "Namespace":
            namespace = None
        if name is None:
            if query.get("sendInitialEvents"):
                return 422, {"kind": "Status", "status": "Failure", "reason": "Invalid"}
            if query.get("watch"):
                time.sleep(0.5)
                return 200, {}
            items = cluster.listed(kind, namespace, query)
            metadata = {"resourceVersion": "1"}
            version = {"kind": f"{kind}List", "apiVersion": of["version"], "metadata": metadata}
            full = [{"apiVersion": of["version"], "kind": kind, **item} for item in items]
            return 200, {**version, "items": full}
        path = cluster.path(kind, namespace, name)
        live = cluster.load(path)["object"]
        if self.command == "PATCH" and "apply" in self.headers["Content-Type"]:
            own = cluster.path("Namespace", None, namespace or "")
            if namespace and not own.exists():
                return 404, not_found("namespaces", namespace)
            dry = "dryRun" in query
            given = yaml.load(body, yaml.CSafeLoader)
            return 200, cluster.apply(path, given, query["fieldManager"], dry=dry)
        if live is None:
            return 404, not_found(of["plural"], name)
        if self.command == "PATCH":
            return 200, cluster.patch(path, json.loads(body))
        if self.command == "DELETE":
            path.unlink()
            if kind == "Namespace":
                for each in (cluster.folder / "objects" / name).glob("*"):
                    each.unlink()
        return 200, live

    def send(self, code: int, answer: dict) -> None:
        # A watch that sees no change has an empty body.
        text = json.dumps(answer).encode() if answer else b""
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        pass


def not_found(plural: str, name: str) -> dict:
    return {
        **{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"},
        **{"code": 404, "message": f'{plural} "{name}" not found'},
    }


def discovered(path: str) -> dict | None:
    """Answer what kubectl asks about the API itself."""
    version = re.sub(r"^/(api|apis|openapi/v3/api|openapi/v3/apis)/", "", path)
    if path == "/version":
        return {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [
            {
                "name": each.partition("/")[0],
                "versions": [{"groupVersion": each, "version": each.partition("/")[2]}],
                "preferredVersion": {"groupVersion": each, "version": each.partition("/")[2]},
            }
            for each in GROUPS
            if "/" in each
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/openapi/v3":
        places = {each: f"api{'s' * ('/' in each)}/{each}" for each in GROUPS}
        urls = {p: {"serverRelativeURL": f"/openapi/v3/{p}"} for p in places.values()}
        return {"paths": urls}
    if version not in GROUPS:
        return None
    group = GROUPS[version]
    if path.startswith("/openapi/"):
        return {"openapi": "3.0.0", "paths": dict(patches(version))}
    resources = [
        {
            **{"name": plural, "singularName": kind.lower(), "kind": kind, "verbs": VERBS},
            **{"namespaced": kind != "Namespace"},
        }
        for plural, kind in group.items()
    ]
    version = {"kind": "APIResourceList", "groupVersion": version}
    return {**version, "resources": resources}


def patches(version: str) -> list[tuple[str, dict]]:
    """Say that every kind can be validated and applied without effect."""
    group, _, number = version.rpartition("/")
    queries = [{"name": name, "in": "query"} for name in ("dryRun", "fieldValidation")]
    return [
        (
            f"/apis/{version}/{plural}/{{name}}",
            {
                "patch": {
                    "parameters": queries,
                    "x-kubernetes-group-version-kind": {
                        **{"group": group, "version": number, "kind": kind}
                    },
                }
            },
        )
        for plural, kind in GROUPS[version].items()
    ]


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Path(sys.argv[1]).write_text(str(server.server_port))
    server.serve_forever()
