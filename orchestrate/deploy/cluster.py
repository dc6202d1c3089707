"""Calls of kubectl, for one context and one namespace."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import DeployError, ExitCode
from deploy.settings import Settings
from deploy.shell import Shell, call, require_tools
from deploy.target import Target

FIELD_MANAGER = "run_project"
#: Longer than any wait of kubectl's own, which takes `timeout` as an argument.
SPARE_SECONDS = 60


def connect(shell: Shell, settings: Settings, target: Target, timeout: int) -> Cluster:
    """Return the cluster that the target is meant for.

    Raises 78 if kubectl points at another one, 69 if the cluster does not answer.
    """
    require_tools("kubectl")
    context = "minikube" if target.is_minikube else settings.get("PIPEBOARD_KUBE_CONTEXT")
    if not context:
        raise DeployError(
            ExitCode.CONFIGURATION,
            "PIPEBOARD_KUBE_CONTEXT is not set: it names the context that "
            f"--env {target.name} is meant for",
        )
    current = shell.read("kubectl", "config", "current-context") or "none"
    if current != context:
        raise DeployError(
            ExitCode.CONFIGURATION,
            f"kubectl points at {current}, and --env {target.name} is for {context}: "
            f"kubectl config use-context {context}",
        )
    cluster = Cluster(shell, context, target.namespace, timeout)
    if cluster.call("version", quiet=True).returncode:
        raise DeployError(ExitCode.UNAVAILABLE, f"the cluster of context {context} does not answer")
    return cluster


@dataclass(frozen=True)
class Cluster:
    """A namespace of a cluster. `timeout` bounds each wait, in seconds."""

    shell: Shell
    context: str
    namespace: str
    timeout: int

    def command(self, *arguments: str) -> list[str]:
        """Return a command line of kubectl."""
        return ["kubectl", "--context", self.context, "--namespace", self.namespace, *arguments]

    def call(
        self, *arguments: str, capture: bool = False, quiet: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Ask the cluster something, also with `--dry-run`."""
        return call(
            self.command(*arguments),
            cwd=self.shell.root,
            capture=capture,
            quiet=quiet,
            timeout=self.timeout + SPARE_SECONDS,
        )

    def read(self, what: str, *arguments: str) -> str:
        """Return what kubectl prints about `what`.

        Raises 69 if it fails: a request that failed does not mean that there is nothing.
        """
        done = self.call(*arguments, capture=True)
        if done.returncode:
            raise DeployError(
                ExitCode.UNAVAILABLE,
                f"{what} of namespace {self.namespace} cannot be read; try again",
            )
        return done.stdout

    def read_items(self, what: str, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        items: list[dict[str, Any]] = json.loads(self.read(what, *arguments, "-o", "json"))["items"]
        return items

    def read_object(self, what: str, *arguments: str) -> dict[str, Any] | None:
        """Return one object; None if there is none."""
        text = self.read(what, *arguments, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def change(self, *arguments: str, stdin: str | None = None) -> None:
        """Change the cluster, or with `--dry-run` print the command. Raises 1 if it fails."""
        self.shell.change(
            *self.command(*arguments), stdin=stdin, timeout=self.timeout + SPARE_SECONDS
        )

    def apply_objects(self, *objects: dict[str, Any], manager: str = "kubectl") -> None:
        """Apply objects that no file holds; kubectl reads them from its standard input."""
        self.change(
            *("apply", "--server-side", "--force-conflicts", "--field-manager", manager),
            *("-f", "-"),
            stdin="\n".join(map(json.dumps, objects)),
        )

    def apply(self, file: Path, selector: str) -> None:
        """Apply the objects of a manifest that a label selector selects."""
        self.change(
            *("apply", "--server-side", "--force-conflicts", "--field-manager", FIELD_MANAGER),
            *("-f", str(file), "-l", selector),
        )
