"""What each command does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.cluster import SPARE_SECONDS, Cluster, connect
from deploy.deployment import Deployment, deploy_release, suspend_schedule
from deploy.errors import DeployError, ExitCode
from deploy.images import choose_image
from deploy.manifest import Manifest, render
from deploy.ports import forward, stop_forwarding
from deploy.releases import CURRENT, PREVIOUS, Release, record_release, require_release
from deploy.settings import Settings
from deploy.shell import BUILD_TIMEOUT_SECONDS, Shell, require_tools, say
from deploy.target import Target


@dataclass(frozen=True)
class Commands:
    """The commands, with the options that they share. `timeout` bounds each wait, in seconds."""

    root: Path
    target: Target
    tag: str = ""
    timeout: int = 600
    dry_run: bool = False
    delete: bool = False
    assume_yes: bool = False

    @property
    def shell(self) -> Shell:
        """Return what calls other programs."""
        return Shell(self.root, self.dry_run)

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return Settings(self.root)

    def up(self) -> None:
        """Start minikube if needed, deploy, forward the ports."""
        if self.target.is_minikube:
            self.check_settings()
            require_tools("minikube")
            if self.shell.read("minikube", "status") is None:
                self.shell.change(
                    "minikube", "start", "--cni=calico", timeout=BUILD_TIMEOUT_SECONDS
                )
        cluster, manifest = self.deploy()
        forward(cluster, self.target, manifest)

    def deploy(self) -> tuple[Cluster, Manifest]:
        """Bring this checkout, or the image of a tag, to the cluster; on a failure, go back."""
        cluster = self.connect()
        self.check_settings()
        image = choose_image(self.shell, self.settings, self.target, self.tag)
        manifest = render(self.shell, self.settings, self.target, image)
        deploy_release(cluster, self.target, self.settings, image, manifest)
        return cluster, manifest

    def provision(self) -> None:
        """Run the Jobs that set up other programs, of the release that runs."""
        cluster = self.connect()
        self.deployment(cluster, self.current_release(cluster)).provision()

    def status(self) -> None:
        """Print which release runs, whether the cluster is still as it left it, and what runs."""
        cluster = self.connect()
        release = Release.read(cluster, CURRENT)
        say("release", release.tag if release else "none")
        if release:
            if self.deployment(cluster, release).is_as_applied():
                say("cluster", "is as this release left it")
            else:
                say("cluster", "differs from this release; `deploy` corrects that")
        if cluster.call("get", "cronjobs,statefulsets,deployments,jobs,pods").returncode:
            raise DeployError(
                ExitCode.UNAVAILABLE, f"namespace {cluster.namespace} cannot be read; try again"
            )

    def forward(self) -> None:
        """Make the services of the release that runs answer on this machine."""
        cluster = self.connect()
        forward(cluster, self.target, self.current_release(cluster).manifest)

    def rollback(self) -> None:
        """Go back to the release before this one."""
        cluster = self.connect()
        message = f"there is no release before this one in {cluster.namespace}"
        release = require_release(cluster, PREVIOUS, message)
        current = Release.read(cluster, CURRENT)
        try:
            self.deployment(cluster, release).restore(release.tag)
        except DeployError as error:
            raise DeployError(
                ExitCode.FAILED,
                f"release {release.tag} did not come up again: {error}; "
                f"./run_project.sh status --env {self.target.name}",
            ) from error
        record_release(cluster, release, current)
        say("rollback", f"release {release.tag} runs again; the database stays as it is")

    def down(self) -> None:
        """End the forwarded ports; then stop minikube, suspend the schedule, or delete."""
        stop_forwarding(self.shell, self.target)
        if self.delete:
            cluster = self.connect()
            self.confirm_deletion(cluster)
            self.shell.change(
                *("kubectl", "--context", cluster.context, "delete", "namespace"),
                *(cluster.namespace, "--wait", f"--timeout={self.timeout}s"),
                timeout=self.timeout + SPARE_SECONDS,
            )
        elif self.target.is_minikube:
            require_tools("minikube")
            self.shell.change("minikube", "stop", timeout=BUILD_TIMEOUT_SECONDS)
        else:
            suspend_schedule(self.connect())
            say("down", "the schedule is suspended; everything else goes on")

    def connect(self) -> Cluster:
        """Return the cluster of the target."""
        return connect(self.shell, self.settings, self.target, self.timeout)

    def deployment(self, cluster: Cluster, release: Release) -> Deployment:
        """Return a recorded release as what is compared and applied."""
        return Deployment.of(cluster, self.target, release.manifest)

    def current_release(self, cluster: Cluster) -> Release:
        """Return the release that runs; raises 78 if there is none."""
        message = (
            f"nothing is deployed in {cluster.namespace}: "
            f"./run_project.sh deploy --env {self.target.name}"
        )
        return require_release(cluster, CURRENT, message)

    def check_settings(self) -> None:
        """Raise 78 if a tool or a setting that a deployment needs is missing."""
        if not self.tag:
            require_tools("docker", "git")
        if not self.target.is_minikube and not self.settings.get("PIPEBOARD_IMAGE"):
            raise DeployError(
                ExitCode.CONFIGURATION,
                "PIPEBOARD_IMAGE is not set: it names the image in your registry, "
                "such as registry/team/pipeboard",
            )
        if self.target.is_minikube:
            for name in ("PIPEDRIVE_API_TOKEN", "PIPEDRIVE_COMPANY_DOMAIN"):
                if not self.settings.get(name):
                    raise DeployError(
                        ExitCode.CONFIGURATION,
                        f"{name} is not set, neither here nor in {self.settings.file}",
                    )

    def confirm_deletion(self, cluster: Cluster) -> None:
        """Ask for the name of the namespace; raises 64 if the answer is another one."""
        if self.assume_yes or self.dry_run:
            return
        question = (
            f"delete namespace {cluster.namespace} in context {cluster.context}, "
            "with all its data? Type the namespace: "
        )
        try:
            answer = input(question)
        except EOFError:
            answer = ""
        if answer.strip() != cluster.namespace:
            raise DeployError(ExitCode.USAGE, "nothing was deleted")
