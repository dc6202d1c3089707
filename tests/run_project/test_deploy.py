"""A release: its steps in their order, what it waits for, and what it leaves alone."""

from __future__ import annotations

import pytest
from conftest import Site

from deploy.cluster_secrets import StoredSecrets, missing_secrets, secret_contents
from deploy.deployment import Deployment, has_token, is_rolled_out, suspend_schedule, wait_for_runs
from deploy.errors import DeployError, ExitCode
from deploy.images import Image
from deploy.manifest import Manifest, Resource, render
from deploy.releases import Release
from deploy.settings import Settings
from deploy.shell import Shell
from deploy.target import Target

SMALL = ("--env", "minikube-small")


def test_up_starts_everything_in_this_order(site: Site, free_ports: int) -> None:
    output = site.script("up")
    assert site.changes() == [
        "minikube start",
        "docker build",
        "minikube image load",
        "apply !pipeboard/phase",
        "apply -",
        "apply pipeboard/phase=data",
        "statefulset/postgres",
        "statefulset/redis",
        "delete job/migrate",
        "apply pipeboard/phase=migrate",
        "apply pipeboard/phase=serve",
        "deployment/grafana",
        "deployment/metabase",
        "deployment/metrics-server",
        "deployment/prometheus",
        "deployment/pushgateway",
        "delete job/metabase-provision",
        "apply pipeboard/phase=provision",
        "delete job/smoke",
        "apply pipeboard/phase=smoke",
        "apply pipeboard/phase=schedule",
        "apply -",
    ]
    assert site.suspended() == ["backfill"]
    assert site.release() == site.head()
    for service, port in (("grafana", 3000), ("metabase", 3001), ("prometheus", 9090)):
        assert f"{service} is on http://127.0.0.1:{port + free_ports}" in output

    # Again, it changes nothing.
    site.forget_calls()
    output = site.run("up")
    assert f"release {site.head()} is deployed already; nothing was changed" in output
    assert f"grafana is on http://127.0.0.1:{3000 + free_ports} already" in output
    assert site.changes() == []
    assert not [c for c in site.calls() if " port-forward " in c or " create " in c]


def test_the_image_is_of_this_commit_with_the_settings_of_env(deployed: Site) -> None:
    for job in ("sync", "backfill"):
        assert deployed.image(f"cronjob/{job}") == f"pipeboard:{deployed.head()}"
    assert deployed.stored("configmap/settings")["data"]["PIPEDRIVE_COMPANY_DOMAIN"] == "acme"


def test_a_failing_build_touches_no_cluster(site: Site) -> None:
    site.set(no_build="yes")
    output = site.run("deploy", *SMALL, code=1)
    assert "run_project.sh: `docker build" in output
    assert site.changes() == ["docker build"]


def test_a_dry_run_prints_what_it_would_do_and_does_nothing(site: Site) -> None:
    output = site.run("up", *SMALL, "--dry-run")
    assert "would      minikube start" in output
    assert "would      docker build" in output
    assert "phase=schedule" in output
    assert "would      forward metabase" in output
    assert site.changes() == []
    assert "s3cret-token" not in output


def test_a_dry_run_that_fails_does_not_go_back(deployed: Site) -> None:
    deployed.commit_again()
    deployed.set(refused="GET .*/cronjobs")
    output = deployed.run("deploy", *SMALL, "--dry-run", code=69)
    assert "the CronJobs of namespace pipeboard cannot be read; try again" in output
    assert "going back" not in output
    assert deployed.changes() == []


def test_an_overlay_that_kustomize_cannot_render_is_named(site: Site) -> None:
    overlay = site.checkout / "k8s" / "overlays" / "minikube-small" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("../../base", "../../bass"))
    output = site.run("deploy", *SMALL, code=1)
    assert "kustomize cannot render k8s/overlays/minikube-small; its error is above" in output
    assert "bass" in output
    assert site.changes() == []


def test_an_image_that_minikube_has_is_not_built_again(site: Site) -> None:
    site.set(images=f"docker.io/library/pipeboard:{site.head()}")
    assert f"pipeboard:{site.head()} is there" in site.run("deploy", *SMALL)
    assert not [change for change in site.changes() if change.startswith(("docker", "minikube"))]
    assert site.release() == site.head()


def test_provision_runs_the_jobs_of_its_phase_of_the_release_that_runs(deployed: Site) -> None:
    deployed.run("provision", *SMALL)
    assert deployed.changes() == [
        "delete job/metabase-provision",
        "apply pipeboard/phase=provision",
    ]


def test_provision_without_a_release_is_refused(site: Site) -> None:
    output = site.run("provision", *SMALL, code=78)
    assert "nothing is deployed in pipeboard" in output


def test_status_shows_the_release_and_changes_nothing(deployed: Site) -> None:
    output = deployed.run("status", *SMALL)
    assert f"release    {deployed.head()}" in output
    assert "cluster    is as this release left it" in output
    assert deployed.changes() == []


def test_status_before_the_first_release_names_none(site: Site) -> None:
    output = site.run("status", *SMALL)
    assert "release    none" in output
    assert "cluster    " not in output


def test_status_of_workloads_that_cannot_be_read_is_not_as_applied(deployed: Site) -> None:
    deployed.set(refused="GET .*/statefulsets")
    output = deployed.run("status", *SMALL, code=69)
    assert "cluster    differs from this release" in output
    assert "namespace pipeboard cannot be read; try again" in output


def test_a_record_that_is_no_release_names_the_remedy(deployed: Site) -> None:
    record = deployed.path("configmap/release")
    record.write_text(record.read_text().replace('"manifest.gz"', '"manifest"'))
    output = deployed.run("status", *SMALL, code=69)
    assert "configmap/release of namespace pipeboard is no release" in output
    assert "kubectl -n pipeboard delete configmap release" in output


@pytest.mark.parametrize(
    ("kind", "missing", "rolled_out"),
    [
        ("Deployment", "", True),
        ("Deployment", "availableReplicas", False),
        ("Deployment", "updatedReplicas", False),
        # StatefulSets count no unavailable replicas.
        ("StatefulSet", "", True),
        ("StatefulSet", "readyReplicas", False),
        ("StatefulSet", "observedGeneration", False),
    ],
)
def test_a_workload_is_rolled_out_when_every_count_is_reached(
    kind: str, missing: str, rolled_out: bool
) -> None:
    status = {
        **{"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2},
        **{"readyReplicas": 2, "availableReplicas": 2},
    }
    status.pop(missing, None)
    workload = {"kind": kind, "metadata": {"generation": 3}, "spec": {"replicas": 2}}
    assert is_rolled_out({**workload, "status": status}) is rolled_out


def test_a_workload_of_no_replicas_is_rolled_out_without_counts() -> None:
    workload = {"metadata": {"generation": 1}, "spec": {"replicas": 0}}
    assert is_rolled_out({**workload, "status": {"observedGeneration": 1}})


@pytest.mark.long
def test_a_second_deployment_changes_only_what_changed_and_shows_no_secret(
    deployed: Site, first_site: Site, first_deployment: str
) -> None:
    password = deployed.secret("postgres", "WAREHOUSE_PASSWORD")
    output = deployed.run("deploy", *SMALL)
    assert "is deployed already; nothing was changed" in output
    assert deployed.changes() == []
    assert has_token(StoredSecrets.read(deployed.kubectl()), Settings(deployed.checkout))

    with deployed.env_file.open("a") as settings:
        settings.write("PIPEDRIVE_API_TOKEN=another-s3cret\n")
    assert not has_token(StoredSecrets.read(deployed.kubectl()), Settings(deployed.checkout))
    overlay = deployed.checkout / "k8s" / "overlays" / "minikube-small" / "kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("  - ../../components/metabase\n", ""))
    output += deployed.run("deploy", *SMALL)
    assert deployed.secret("pipedrive", "PIPEDRIVE_API_TOKEN") == "another-s3cret"
    # What the release has no longer is deleted with it.
    assert "prune      deployment/metabase" in output
    assert not deployed.exists("deployment/metabase")
    assert not deployed.exists("networkpolicy/metabase")
    assert deployed.exists("statefulset/redis")
    assert deployed.suspended() == ["backfill"]
    assert deployed.secret("postgres", "WAREHOUSE_PASSWORD") == password

    # No secret was in a call, in the output, or in a file that stays.
    seen = [first_deployment, output, *first_site.calls(), *deployed.calls()]
    for checkout in (first_site.checkout, deployed.checkout):
        files = [path for path in (checkout / ".pipeboard").rglob("*") if path.is_file()]
        seen += [path.read_text(errors="replace") for path in files]
        assert files
    for secret in (password, "s3cret"):
        assert not [text for text in seen if secret in text]


@pytest.mark.parametrize("overlay", ["minikube", "minikube-prefect"])
def test_every_secret_that_a_pod_needs_is_made_on_minikube(site: Site, overlay: str) -> None:
    image = Image("pipeboard", "1", "1", is_built_here=True)
    shell, settings = Shell(site.checkout), Settings(site.checkout)
    manifest = render(shell, settings, Target(site.checkout, overlay), image)
    made = secret_contents("pipeboard", settings, StoredSecrets({}))
    assert set(manifest.secrets()) <= set(made)
    # Flows run in the image of the release, too.
    assert ("value: pipeboard:1\n" in manifest.text) == (overlay == "minikube-prefect")


def test_a_run_that_takes_too_long_is_not_cut_off(site: Site) -> None:
    site.set(active_jobs="\n".join(["sweep-1"] * 100))
    with pytest.raises(DeployError, match="still running after 1 s: sweep-1; try again") as error:
        wait_for_runs(site.kubectl(timeout=1))
    assert error.value.code == ExitCode.UNAVAILABLE


def test_a_job_that_does_not_end_in_time_fails_after_its_log(deployed: Site) -> None:
    job = deployed.path("job/migrate")
    job.write_text(job.read_text().replace('"status": "True"', '"status": "False"'))
    deployment = Deployment(deployed.kubectl(timeout=1), Manifest(""), deployed.folder)
    with pytest.raises(DeployError, match="job/migrate did not end in time; its last") as error:
        deployment.wait_for_job(Resource("job", "migrate", "migrate"))
    assert error.value.code == ExitCode.FAILED
    assert any("logs job/migrate" in call for call in deployed.calls())


def test_a_running_backfill_delays_no_release(site: Site) -> None:
    site.set(active_jobs="\n".join(["backfill-1"] * 100))
    wait_for_runs(site.kubectl(timeout=1))


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        # CronJobs that cannot be listed are not "none"; nor are runs that cannot be listed.
        ("GET .*/cronjobs", ExitCode.UNAVAILABLE),
        ("PATCH .*/cronjobs/sync", ExitCode.FAILED),
        ("GET .*/jobs", ExitCode.UNAVAILABLE),
        # Else what a bad release added would stay.
        ("GET .*/networkpolicies", ExitCode.UNAVAILABLE),
    ],
)
def test_a_request_that_fails_is_no_answer(deployed: Site, refused: str, code: ExitCode) -> None:
    deployed.set(refused=refused)
    cluster = deployed.kubectl()

    def steps() -> None:
        suspend_schedule(cluster)
        wait_for_runs(cluster)
        Deployment(cluster, Manifest(""), deployed.folder).prune()

    with pytest.raises(DeployError) as error:
        steps()
    assert error.value.code == code


@pytest.mark.parametrize("command", ["deploy", "rollback", "provision", "status"])
def test_secrets_and_releases_that_cannot_be_read_end_a_command(
    deployed: Site, command: str
) -> None:
    what = "secrets.*" if command == "deploy" else "configmaps/release.*"
    deployed.set(refused=f"GET .*/{what}")
    output = deployed.run(command, *SMALL, code=69)
    assert "of namespace pipeboard cannot be read; try again" in output
    assert deployed.changes() == []


def test_a_release_that_needs_no_secret_asks_for_none(deployed: Site) -> None:
    deployed.set(refused="GET .*/secrets.*")
    assert missing_secrets(deployed.kubectl(), Manifest("")) == []


def test_what_the_cluster_has_lost_or_changed_makes_it_differ_from_the_release(
    deployed: Site,
) -> None:
    release = Release.read(deployed.kubectl(), "release")
    assert release is not None
    target = Target(deployed.checkout, "minikube-small")
    deployment = Deployment.of(deployed.kubectl(), target, release.manifest)
    for name in (
        "cronjob/sweep",
        "networkpolicy/default-deny",
        "secret/redis",
        "configmap/settings",
    ):
        stored = deployed.path(name).read_text()
        deployed.path(name).unlink()
        assert not deployment.is_as_applied(), name
        deployed.path(name).write_text(stored)
    assert deployment.is_as_applied()
    # An object of another release is a difference, too.
    other = deployed.path("configmap/of-another-release")
    other.write_text(
        deployed.path("configmap/settings")
        .read_text()
        .replace('"settings"', '"of-another-release"')
    )
    assert not deployment.is_as_applied()
    for name in ("statefulset/redis", "deployment/metabase"):
        stored = deployed.path(name).read_text()
        deployed.path(name).write_text(stored.replace('"readyReplicas": 1', '"readyReplicas": 0'))
        assert not deployment.is_ready(), name
        deployed.path(name).write_text(stored)
