"""The steps of a release, and the way back."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploy.cluster import FIELD_MANAGER, Cluster
from deploy.cluster_secrets import (
    StoredSecrets,
    make_secrets,
    missing_secrets,
    require_secrets,
)
from deploy.errors import DeployError, ExitCode
from deploy.images import Image, build
from deploy.manifest import (
    JOB_PHASES,
    OWNER_LABEL,
    SCHEDULE_PHASE,
    WORKLOAD_PHASES,
    Manifest,
    Resource,
)
from deploy.releases import Release, record_release
from deploy.settings import Settings
from deploy.shell import say, show
from deploy.target import Target

#: Selects everything but the Jobs, which run once and are deleted by the next release.
WITHOUT_JOBS = f"pipeboard/phase notin ({','.join(JOB_PHASES)})"
#: What is deleted when a release no longer has it: nothing that holds data.
PRUNED = (
    "configmaps,cronjobs,deployments,horizontalpodautoscalers,networkpolicies,"
    "poddisruptionbudgets,resourcequotas,rolebindings,roles,serviceaccounts,services,statefulsets"
)
#: The namespace whose Prometheus scrapes all accounts, and the file that names them.
SHARED_NAMESPACE = "pipeboard"
ACCOUNTS_FILE = "k8s/components/prometheus/accounts/targets.yml"


@dataclass(frozen=True)
class Deployment:
    """One manifest in one cluster: applied, compared, waited for."""

    cluster: Cluster
    manifest: Manifest
    #: The file from which kubectl applies it.
    file: Path

    @classmethod
    def of(cls, cluster: Cluster, target: Target, manifest: Manifest) -> Deployment:
        """Write the manifest where kubectl reads it."""
        file = target.work / "manifest.yaml"
        file.write_text(manifest.text)
        return cls(cluster, manifest, file)

    # --- Compare -----------------------------------------------------------------------------

    def is_as_applied(self) -> bool:
        """Tell whether the cluster has what the manifest says, all of it ready, and no more.

        Suspensions count. A request that fails means no: then deploying again is right.
        """
        try:
            return (
                self.cluster.call(
                    *("diff", "--server-side", "--force-conflicts"),
                    *("--field-manager", FIELD_MANAGER, "-f", str(self.file), "-l", WITHOUT_JOBS),
                    quiet=True,
                ).returncode
                == 0
                and self.is_ready()
                and not missing_secrets(self.cluster, self.manifest)
                and not self.surplus()
            )
        except DeployError:
            return False

    def is_ready(self) -> bool:
        """Tell whether every pod of every workload is ready, in its present form."""
        workloads = self.cluster.read_items("the workloads", "get", "deployments,statefulsets")
        ready = {
            f"{workload['kind'].lower()}/{workload['metadata']['name']}"
            for workload in workloads
            if is_rolled_out(workload)
        }
        wanted = {str(workload) for phase in WORKLOAD_PHASES for workload in self.workloads(phase)}
        return wanted <= ready

    def workloads(self, phase: str) -> list[Resource]:
        """Return what a phase starts that has pods all the time."""
        return self.manifest.of_phase(phase, "deployment", "statefulset")

    def surplus(self) -> list[str]:
        """Return what was applied with another release and is not part of this one."""
        label, owner = OWNER_LABEL
        found = self.cluster.read(
            "the objects of releases", "get", PRUNED, "-l", f"{label}={owner}", "-o", "name"
        )
        # kubectl writes `deployment.apps/grafana`.
        names = (line.partition("/") for line in found.split())
        present = {f"{kind.partition('.')[0]}/{name}" for kind, _, name in names}
        return sorted(present - {str(resource) for resource in self.manifest.resources()})

    # --- Change ------------------------------------------------------------------------------

    def apply(self, what: str, selector: str) -> None:
        """Apply the part of the manifest that a label selector selects."""
        say("apply", what)
        self.cluster.apply(self.file, selector)

    def apply_phase(self, phase: str) -> None:
        """Apply the objects of one phase, if there are any."""
        if self.manifest.of_phase(phase):
            self.apply(phase, f"pipeboard/phase={phase}")

    def wait_for_rollouts(self, phase: str) -> None:
        """Wait until the workloads of a phase are ready. Raises 1 if one does not get ready."""
        for workload in self.workloads(phase):
            say("wait", str(workload))
            self.cluster.change(
                "rollout", "status", str(workload), f"--timeout={self.cluster.timeout}s"
            )

    def run_jobs(self, phase: str) -> None:
        """Run the Jobs of a phase to their end. Jobs cannot be changed: old ones are deleted."""
        jobs = self.manifest.of_phase(phase, "job")
        for job in jobs:
            self.cluster.change("delete", str(job), "--ignore-not-found", "--wait")
        self.apply_phase(phase)
        for job in jobs:
            self.wait_for_job(job)

    def wait_for_job(self, job: Resource) -> None:
        """Wait until a Job is complete. Raises 1, after its log, if it fails or takes too long."""
        if self.cluster.shell.dry_run:
            return
        deadline = time.monotonic() + self.cluster.timeout
        while True:
            status = (self.cluster.read_object(str(job), "get", str(job)) or {}).get("status", {})
            conditions = [c["type"] for c in status.get("conditions", []) if c["status"] == "True"]
            if "Complete" in conditions:
                say("done", str(job))
                return
            if "Failed" in conditions or time.monotonic() > deadline:
                log = ("logs", str(job), "--tail=50", "--all-containers")
                show(self.cluster.call(*log, capture=True).stdout)
                outcome = "failed" if "Failed" in conditions else "did not end in time"
                raise DeployError(ExitCode.FAILED, f"{job} {outcome}; its last log lines are above")
            poll()

    def prune(self) -> None:
        """Delete what was applied with another release and is not part of this one."""
        for name in self.surplus():
            say("prune", name)
            # Runs that a CronJob started go on to their end.
            orphans = ["--cascade=orphan"] if name.startswith("cronjob/") else []
            self.cluster.change("delete", name, "--ignore-not-found", *orphans)

    def restore(self, tag: str) -> None:
        """Apply a release that was deployed before. `kubectl rollout undo` knows no CronJobs."""
        self.apply(f"release {tag} again", WITHOUT_JOBS)
        self.prune()
        for phase in WORKLOAD_PHASES:
            self.wait_for_rollouts(phase)

    def provision(self) -> None:
        """Set up what is set up through other programs' APIs."""
        if self.manifest.of_phase("provision", "job"):
            self.run_jobs("provision")
        else:
            say("provision", "nothing beyond the manifests")

    def release(self, target: Target, settings: Settings, stored: StoredSecrets | None) -> None:
        """Do every step of a release but its record.

        `stored` is None where Secrets are expected instead of made.
        """
        self.apply("what everything needs", "!pipeboard/phase")
        if stored is not None:
            make_secrets(self.cluster, settings, stored)
        if not self.cluster.shell.dry_run:
            require_secrets(self.cluster, self.manifest)
        suspend_schedule(self.cluster)
        wait_for_runs(self.cluster)
        self.apply_phase("data")
        self.wait_for_rollouts("data")
        self.run_jobs("migrate")
        self.apply_phase("serve")
        self.wait_for_rollouts("serve")
        self.provision()
        self.run_jobs("smoke")
        self.prune()
        # Each CronJob gets the suspension that its manifest gives it, which for most is none.
        self.apply_phase(SCHEDULE_PHASE)
        if target.is_account:
            name_accounts_to_prometheus(self.cluster)


def deploy_release(
    cluster: Cluster, target: Target, settings: Settings, image: Image, manifest: Manifest
) -> None:
    """Deploy a manifest, unless the cluster is already as it says; on a failure, go back."""
    stored = StoredSecrets.read(cluster) if target.is_minikube else None
    previous = Release.read(cluster, "release")
    deployment = Deployment.of(cluster, target, manifest)
    if (
        previous is not None
        and previous.manifest == manifest
        # The record says what was applied last, the cluster whether it still is.
        and deployment.is_as_applied()
        and (stored is None or has_token(stored, settings))
    ):
        say("deploy", f"release {image.tag} is deployed already; nothing was changed")
        return
    build(cluster.shell, target, image)
    try:
        deployment.release(target, settings, stored)
        record_release(cluster, Release(image.tag, image.checkout, manifest), previous)
    except BaseException as error:
        if not cluster.shell.dry_run:
            say("failed", f"{error}; going back", error=True)
            go_back(cluster, target, previous)
        raise
    if not cluster.shell.dry_run:
        say("deploy", f"release {image.tag} runs")


def has_token(stored: StoredSecrets, settings: Settings) -> bool:
    """Tell whether the cluster has the API token of the settings."""
    name = "PIPEDRIVE_API_TOKEN"
    return stored.get("pipedrive", name) == settings.get(name)


def go_back(cluster: Cluster, target: Target, previous: Release | None) -> None:
    """Apply the previous release again, schedule and all; without one, suspend the schedule.

    Raises no DeployError: the error that led here is the one to report.
    """
    try:
        show(cluster.call("get", "pods,jobs", capture=True).stdout)
        events = cluster.call("get", "events", "--sort-by=.lastTimestamp", capture=True, quiet=True)
        show("\n".join(events.stdout.splitlines()[-20:]))
        if previous is None:
            suspend_schedule(cluster)
            say("rollback", "there is no release to go back to; nothing is scheduled")
        else:
            Deployment.of(cluster, target, previous.manifest).restore(previous.tag)
            say("rollback", f"release {previous.tag} runs again; the database stays as it is")
    except BaseException as error:
        say(
            "rollback",
            f"NOT done: the release before could not be applied again ({error}). Remove the cause, "
            f"then ./run_project.sh deploy --env {target.name}",
        )
        if not isinstance(error, DeployError):
            raise


def is_rolled_out(workload: dict[str, Any]) -> bool:
    """Tell whether all pods of a Deployment or StatefulSet are ready and of its present form.

    Kubernetes leaves out a count that is zero.
    """
    wanted = workload["spec"].get("replicas", 1)
    status = workload.get("status", {})
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return status.get("observedGeneration", 0) >= workload["metadata"]["generation"] and all(
        status.get(count, 0) == wanted for count in counts
    )


def suspend_schedule(cluster: Cluster) -> None:
    """Suspend all CronJobs."""
    label = "app.kubernetes.io/part-of=pipeboard"
    jobs = cluster.read("the CronJobs", "get", "cronjobs", "-l", label, "-o", "name").split()
    if jobs:
        cluster.change("patch", *jobs, "--type", "merge", "--patch", '{"spec":{"suspend":true}}')


def wait_for_runs(cluster: Cluster) -> None:
    """Wait until no run is active, since a load is never cut off. Raises 69 if it takes too long.

    A backfill may take a day and need not end: its schema only grows.
    """
    if cluster.shell.dry_run:
        return
    deadline = time.monotonic() + cluster.timeout
    while True:
        jobs = cluster.read_items(
            "the Jobs", "get", "jobs", "-l", "app.kubernetes.io/name=pipeboard"
        )
        names = [job["metadata"]["name"] for job in jobs if job.get("status", {}).get("active")]
        running = " ".join(name for name in names if not name.startswith("backfill-"))
        if not running:
            return
        if time.monotonic() > deadline:
            raise DeployError(
                ExitCode.UNAVAILABLE,
                f"still running after {cluster.timeout} s: {running}; try again later",
            )
        say("wait", f"for {running} to finish")
        poll()


def poll() -> None:
    """Wait until it is time to look again."""
    time.sleep(float(os.environ.get("PIPEBOARD_POLL_SECONDS") or 5))


def name_accounts_to_prometheus(cluster: Cluster) -> None:
    """Give Prometheus in the shared namespace the Pushgateways of all accounts."""
    shared = replace(cluster, namespace=SHARED_NAMESPACE)
    name = "prometheus-accounts"
    if shared.read_object("the settings of Prometheus", "get", "configmap", name) is None:
        say(
            "accounts",
            f"no Prometheus runs in namespace {SHARED_NAMESPACE}: nothing watches this account",
        )
        return
    file = cluster.shell.root / ACCOUNTS_FILE
    label, owner = OWNER_LABEL
    say("accounts", f"Prometheus in namespace {SHARED_NAMESPACE} scrapes all of them")
    shared.apply_objects(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": {label: owner}},
            "data": {file.name: file.read_text()},
        },
        manager=FIELD_MANAGER,
    )
