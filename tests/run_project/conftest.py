"""A checkout, and stand-ins for minikube, docker and the API server of a cluster.

The API server keeps what kubectl applies. kubectl and kustomize are real; no real cluster was at
hand. Most tests call the command line in this process and deploy a small overlay; those about the
process itself start run_project.sh.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import run
from deploy.cluster import Cluster
from deploy.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(sys.executable).parent
STAND_INS = Path(__file__).parent / "stand-ins"
#: One workload of each phase and every Job, without the dashboards.
SMALL = ("redis", "metabase")
IMAGE = "registry.example.org/team/pipeboard"
#: What changes a cluster, in short words.
CHANGES = (
    re.compile(r"^(minikube (?:start|stop|image load)|docker (?:build|push))"),
    re.compile(r" (apply) .* -l (.*)$"),
    re.compile(r" (apply) .* -f (-)$"),
    re.compile(r" (patch) (.*) --type"),
    re.compile(r" (delete) ((?:namespace |job/)\S+)"),
    re.compile(r" rollout status (\S+)"),
)


@dataclass
class Site:
    """A checkout, the cluster that it deploys to, and the .env of its operator."""

    folder: Path
    port: int
    capfd: Any = None
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def env_file(self) -> Path:
        return self.folder / "env"

    def run(self, *arguments: str, code: int = 0, answer: str = "") -> str:
        """Run a command line in this process; return what it and its children print."""
        self.capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(answer))
            found = run(arguments, self.checkout)
        output = "".join(self.capfd.readouterr())
        assert found == code, output
        return output

    def script(self, *arguments: str, code: int = 0) -> str:
        """The same by run_project.sh, as a process of its own."""
        done = subprocess.run(
            ["./run_project.sh", *arguments],
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def kubectl(self, timeout: int = 60) -> Cluster:
        """The cluster as the steps of a deployment see it."""
        return Cluster(Shell(self.checkout), "minikube", "pipeboard", timeout)

    def use_context(self, name: str) -> None:
        """Point kubectl at the cluster; the address names the folder of its objects."""
        server = f"http://127.0.0.1:{self.port}{self.cluster}"
        config = {
            **{"apiVersion": "v1", "kind": "Config", "current-context": name},
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        }
        (self.cluster / "kubeconfig").write_text(json.dumps(config))

    def set(self, **files: str) -> None:
        """Say how the cluster behaves (api_server.py); without a text, as usual."""
        for name, text in files.items():
            path = self.cluster / name.replace("_", "-")
            if text:
                path.write_text(f"{text}\n")
            else:
                path.unlink()

    def calls(self) -> list[str]:
        """Every call of a stand-in."""
        path = self.cluster / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def forget_calls(self) -> None:
        (self.cluster / "calls").write_text("")

    def changes(self) -> list[str]:
        """What the calls changed or waited for, in their order."""
        found = (pattern.search(call) for call in self.calls() for pattern in CHANGES)
        return [" ".join(each.groups()) for each in found if each]

    def path(self, kind_and_name: str, namespace: str = "pipeboard") -> Path:
        kind, _, name = kind_and_name.partition("/")
        return self.cluster / "objects" / namespace / f"{kind}.{name}.json"

    def exists(self, kind_and_name: str) -> bool:
        return self.path(kind_and_name).exists()

    def stored(self, kind_and_name: str, namespace: str = "pipeboard") -> dict[str, Any]:
        """An object as the cluster keeps it."""
        found: dict[str, Any] = json.loads(self.path(kind_and_name, namespace).read_text())[
            "object"
        ]
        return found

    def secret(self, name: str, key: str) -> str:
        return base64.b64decode(self.stored(f"secret/{name}")["data"][key]).decode()

    def release(self, name: str = "release", namespace: str = "pipeboard") -> str:
        return self.stored(f"configmap/{name}", namespace)["data"]["tag"]

    def image(self, kind_and_name: str) -> str:
        spec = self.stored(kind_and_name)["spec"]
        if kind_and_name.startswith("cronjob/"):
            spec = spec["jobTemplate"]["spec"]
        return spec["template"]["spec"]["containers"][0]["image"]

    def suspended(self) -> list[str]:
        """The CronJobs that are suspended."""
        objects = (
            json.loads(p.read_text()) for p in self.path("cronjob/x").parent.glob("cronjob.*")
        )
        return sorted(
            o["object"]["metadata"]["name"] for o in objects if o["object"]["spec"]["suspend"]
        )

    def make_secrets(self, *names: str, namespace: str = "pipeboard") -> None:
        """What an operator keeps in a cluster that is not minikube."""
        for name in names:
            path = self.path(f"secret/{name}", namespace)
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"name": name, "namespace": namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            path.write_text(
                json.dumps({"object": {**secret, "data": {"x": "eA=="}}, "applied": {}})
            )

    def create(self, kind: str, name: str, version: str = "v1") -> None:
        """Apply something by hand."""
        labels = {"app.kubernetes.io/part-of": "pipeboard"}
        metadata = {"name": name, "namespace": "pipeboard", "labels": labels}
        subprocess.run(
            [
                str(TOOLS / "kubectl"),
                "apply",
                "--server-side",
                "--field-manager",
                "by-hand",
                "-f",
                "-",
            ],
            input=json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata}),
            text=True,
            check=True,
        )

    def commit(self) -> str:
        """Commit everything; return the name of the commit."""
        for command in (
            ["add", "."],
            ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=self.checkout, check=True)
        return self.head()

    def commit_again(self) -> str:
        """Commit a change of every overlay."""
        with (self.checkout / "k8s" / "base" / "settings.env").open("a") as settings:
            settings.write(f"X={time.monotonic_ns()}\n")
        return self.commit()

    def head(self) -> str:
        done = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=self.checkout,
            text=True,
            capture_output=True,
            check=True,
        )
        return done.stdout.strip()


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the API server of all clusters."""
    file = tmp_path_factory.mktemp("api-server") / "port"
    process = subprocess.Popen([sys.executable, str(STAND_INS / "api_server.py"), str(file)])
    while not (file.exists() and file.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    yield int(file.read_text())
    process.terminate()
    process.wait()


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stand-ins first on the path, and no setting of the machine's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("PIPEBOARD_", "PIPEDRIVE_", "METABASE_")):
                patch.delenv(name)
        patch.setenv("PATH", f"{STAND_INS}:{TOOLS}:{os.environ['PATH']}")
        patch.setenv("REAL_KUBECTL", str(TOOLS / "kubectl"))
        patch.setenv("PIPEBOARD_POLL_SECONDS", "0.1")
        patch.setenv("KUBECACHEDIR", str(tmp_path_factory.mktemp("kube")))
        # kubectl ends before it would be worth to collect garbage.
        patch.setenv("GOGC", "off")
        yield


@pytest.fixture(scope="session")
def first_site(tmp_path_factory: pytest.TempPathFactory, api_server: int) -> Site:
    """What every test gets a copy of: one commit, and an empty cluster."""
    site = Site(tmp_path_factory.mktemp("site"), api_server)
    site.cluster.mkdir()
    site.checkout.mkdir()
    shutil.copytree(ROOT / "k8s", site.checkout / "k8s")
    no_bytecode = shutil.ignore_patterns("__pycache__")
    package = Path("orchestrate") / "deploy"
    shutil.copytree(ROOT / package, site.checkout / package, ignore=no_bytecode)
    for name in ("run_project.sh", ".gitignore"):
        shutil.copy(ROOT / name, site.checkout)
    components = "".join(f"  - ../../components/{name}\n" for name in SMALL)
    # By its name the first is a minikube, the other is not.
    for name in ("minikube-small", "small"):
        overlay = site.checkout / "k8s" / "overlays" / name
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(
            f"namespace: pipeboard\nresources: [../../base]\ncomponents:\n{components}"
        )
    subprocess.run(["git", "init", "-q", "."], cwd=site.checkout, check=True)
    site.commit()
    site.env_file.write_text('PIPEDRIVE_API_TOKEN="s3cret-token"\nPIPEDRIVE_COMPANY_DOMAIN=acme\n')
    return site


@pytest.fixture(scope="session")
def first_deployment(first_site: Site) -> str:
    """The first deployment of the small overlay, by run_project.sh; what it printed."""
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, first_site, "minikube")
        return first_site.script("deploy", "--env", "minikube-small")


def connect(patch: pytest.MonkeyPatch, site: Site, context: str) -> None:
    patch.setenv("STAND_IN", str(site.cluster))
    patch.setenv("KUBECONFIG", str(site.cluster / "kubeconfig"))
    patch.setenv("PIPEBOARD_ENV_FILE", str(site.env_file))
    site.use_context(context)


@pytest.fixture
def site(
    first_site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Site]:
    """A checkout and an empty cluster; kubectl points at minikube."""
    copied = Site(tmp_path, first_site.port, capfd)
    shutil.copytree(first_site.checkout, copied.checkout)
    shutil.copy(first_site.env_file, copied.env_file)
    copied.cluster.mkdir()
    connect(monkeypatch, copied, "minikube")
    yield copied
    for file in copied.checkout.glob(".pipeboard/deploy/*/forward/*.pid"):
        subprocess.run(["kill", "--", f"-{file.read_text().strip()}"], check=False)


@pytest.fixture
def deployed(site: Site, first_site: Site, first_deployment: str) -> Site:
    """The small overlay, deployed on minikube; no call is recorded yet."""
    shutil.copytree(first_site.cluster / "objects", site.cluster / "objects")
    return site


@pytest.fixture
def prod(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A cluster that is not minikube, with the Secrets of the small overlay."""
    site.use_context("prod-cluster")
    monkeypatch.setenv("PIPEBOARD_KUBE_CONTEXT", "prod-cluster")
    monkeypatch.setenv("PIPEBOARD_IMAGE", IMAGE)
    site.make_secrets("pipedrive", "warehouse", "redis", "metabase", "metabase-provision")
    return site


@pytest.fixture(scope="session")
def first_on_prod(first_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The small overlay as release 1.2.3, deployed by tag on a cluster that is not minikube."""
    folder = tmp_path_factory.mktemp("prod")
    found = Site(folder, first_site.port)
    found.cluster.mkdir()
    (folder / "checkout").symlink_to(first_site.checkout)
    subprocess.run(["git", "tag", "v1.2.3"], cwd=first_site.checkout, check=True)
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, found, "prod-cluster")
        patch.setenv("PIPEBOARD_KUBE_CONTEXT", "prod-cluster")
        patch.setenv("PIPEBOARD_IMAGE", IMAGE)
        found.make_secrets("pipedrive", "warehouse", "redis", "metabase", "metabase-provision")
        found.script("deploy", "--env", "small", "--tag", "1.2.3")
    return found


@pytest.fixture
def deployed_on_prod(first_on_prod: Site, prod: Site) -> Site:
    """A copy of that, with the tag in the checkout."""
    shutil.rmtree(prod.cluster / "objects")
    shutil.copytree(first_on_prod.cluster / "objects", prod.cluster / "objects")
    subprocess.run(["git", "tag", "-f", "v1.2.3"], cwd=prod.checkout, check=True)
    return prod


@pytest.fixture
def free_ports(monkeypatch: pytest.MonkeyPatch) -> int:
    """A shift that makes every forwarded port one that is free."""
    for shift in range(20000, 50000, 1000):
        if not any(is_open(port + shift) for port in (3000, 3001, 4200, 9090)):
            monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", str(shift))
            return shift
    pytest.fail("no free ports")


def is_open(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0
