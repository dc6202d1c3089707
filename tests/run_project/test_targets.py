"""Where a release goes: the right cluster, its image, its Secrets, one account of several."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import psutil
import pytest
from conftest import IMAGE, Site

from deploy import images
from deploy.deployment import Deployment, name_accounts_to_prometheus
from deploy.errors import DeployError, ExitCode
from deploy.images import Image, choose_image
from deploy.manifest import render
from deploy.settings import Settings
from deploy.shell import Shell
from deploy.target import Target

SMALL = ("--env", "minikube-small")


@pytest.mark.parametrize(
    "command", ["up", "deploy", "provision", "status", "forward", "rollback", "down --delete --yes"]
)
def test_the_wrong_context_is_refused_before_any_request(site: Site, command: str) -> None:
    site.use_context("prod-cluster")
    site.set(minikube_runs="yes")
    output = site.run(*command.split(), code=78)
    assert "kubectl points at prod-cluster, and --env minikube is for minikube" in output
    assert site.changes() == []
    assert [call for call in site.calls() if call.startswith("kubectl")] == [
        "kubectl config current-context"
    ]


def test_prod_needs_a_context_by_name_an_image_to_push_and_its_secrets(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = ("deploy", "--env", "prod")
    assert "PIPEBOARD_KUBE_CONTEXT is not set" in site.run(*deploy, code=78)
    site.use_context("prod-cluster")
    monkeypatch.setenv("PIPEBOARD_KUBE_CONTEXT", "prod-cluster")
    assert "PIPEBOARD_IMAGE is not set" in site.run(*deploy, code=78)
    monkeypatch.setenv("PIPEBOARD_IMAGE", IMAGE)
    site.make_secrets("pipedrive", "redis", "metrics-server", "metabase", "metabase-provision")
    output = site.run(*deploy, code=78)
    assert "not in namespace pipeboard: grafana warehouse." in output
    assert not [change for change in site.changes() if "phase=" in change]


def new_account(site: Site) -> None:
    subprocess.run(["k8s/new-account.sh", "acme"], cwd=site.checkout, check=True)


def test_an_account_is_deployed_into_its_namespace(prod: Site) -> None:
    new_account(prod)
    deploy = ("deploy", "--env", "account-acme")
    output = prod.run(*deploy, code=78)
    assert "these Secrets are not in namespace pipeboard-acme: pipedrive warehouse." in output
    prod.make_secrets("pipedrive", "warehouse", namespace="pipeboard-acme")
    output = prod.run(*deploy)
    assert "no Prometheus runs in namespace pipeboard: nothing watches this account" in output
    assert prod.release(namespace="pipeboard-acme")
    assert not [call for call in prod.calls() if "--namespace pipeboard apply" in call]


def test_a_cluster_that_does_not_answer_is_not_taken_for_a_wrong_one(site: Site) -> None:
    site.set(unreachable="yes")
    assert "does not answer" in site.run("deploy", *SMALL, code=69)


def test_a_release_is_built_and_pushed_and_the_secrets_of_the_cluster_are_not_touched(
    prod: Site,
) -> None:
    prod.run("deploy", "--env", "small")
    assert f"docker push --quiet {IMAGE}:{prod.head()}" in prod.calls()
    assert not [call for call in prod.calls() if call.startswith("minikube")]
    assert prod.stored("secret/pipedrive")["data"] == {"x": "eA=="}
    assert prod.image("cronjob/sync") == f"{IMAGE}:{prod.head()}"


def test_a_tag_takes_an_image_that_exists_and_builds_none(first_on_prod: Site) -> None:
    assert not [call for call in first_on_prod.calls() if call.startswith("docker")]
    assert first_on_prod.release() == "1.2.3"
    record = first_on_prod.stored("configmap/release")["data"]
    assert record["commit"] == first_on_prod.head()
    assert first_on_prod.image("cronjob/sync") == f"{IMAGE}:1.2.3"


def test_up_elsewhere_starts_no_minikube(deployed_on_prod: Site, free_ports: int) -> None:
    output = deployed_on_prod.run("up", "--env", "small", "--tag", "1.2.3", "--dry-run")
    assert "release 1.2.3 is deployed already; nothing was changed" in output
    assert "would      forward metabase" in output
    assert "minikube" not in output
    assert not [call for call in deployed_on_prod.calls() if call.startswith("minikube")]


def test_a_tag_of_another_commit_is_refused(deployed_on_prod: Site) -> None:
    site = deployed_on_prod
    first = site.head()
    second = site.commit_again()
    output = site.run("deploy", "--env", "small", "--tag", "1.2.3", code=78)
    assert f"image 1.2.3 is commit {first}, and the manifests here are of {second}" in output
    assert site.changes() == []
    for tag in ("v1.2.3", first, f"{first}-0123abcd"):
        with pytest.raises(DeployError, match=f"image {tag} is .*: git checkout {first}") as error:
            choose(site, tag)
        assert error.value.code == ExitCode.CONFIGURATION


def test_with_a_tag_that_git_does_not_know_the_manifests_of_this_checkout_go_out(
    site: Site,
) -> None:
    image = choose(site, "build-7")
    assert (image.tag, image.checkout, image.is_built_here) == ("build-7", site.head(), False)
    message = f"git does not know build-7; the manifests are those of this checkout, {site.head()}"
    assert message in site.capfd.readouterr().out


def test_without_git_a_tag_is_enough(site: Site) -> None:
    shutil.rmtree(site.checkout / ".git")
    assert choose(site, "build-7").checkout == "unknown"
    with pytest.raises(DeployError, match="--tag names an image that exists"):
        choose(site)


def test_what_is_not_committed_gets_a_name_of_its_own(site: Site) -> None:
    commit = site.head()
    assert choose(site).tag == commit
    with (site.checkout / "k8s" / "base" / "settings.env").open("a") as settings:
        settings.write("# changed\n")
    tags = [choose(site).tag]
    for content in (b"one", b"\xff"):
        (site.checkout / "new-file").write_bytes(content)
        tags.append(choose(site).tag)
    # git lists it, and it has no content.
    (site.checkout / "link").symlink_to("nowhere")
    tags.append(choose(site).tag)
    assert len(set(tags)) == 4
    assert all(re.fullmatch(f"{commit}-[0-9a-f]{{8}}", tag) for tag in tags)


def test_the_one_prometheus_scrapes_an_account_as_soon_as_it_is_deployed(prod: Site) -> None:
    overlay = prod.checkout / "k8s" / "overlays" / "small" / "kustomization.yaml"
    overlay.write_text(
        "namespace: pipeboard\nresources: [../../base]\n"
        "components: [../../components/pushgateway, ../../components/prometheus]\n"
    )
    deploy = ("deploy", "--env", "small", "--tag", "build-7")
    prod.run(*deploy)
    new_account(prod)
    name_accounts_to_prometheus(replace(prod.kubectl(), context="prod-cluster"))
    targets = prod.stored("configmap/prometheus-accounts")["data"]["targets.yml"]
    assert "pushgateway.pipeboard-acme.svc:9091" in targets
    # The next release of that namespace has the same object, so that it keeps it.
    image = Image(IMAGE, "build-7", "", is_built_here=False)
    target = Target(prod.checkout, "small")
    manifest = render(Shell(prod.checkout), Settings(prod.checkout), target, image)
    assert "pushgateway.pipeboard-acme.svc:9091" in manifest.text
    cluster = replace(prod.kubectl(), context="prod-cluster")
    assert Deployment.of(cluster, target, manifest).is_as_applied()


def choose(site: Site, tag: str = "") -> Image:
    target = Target(site.checkout, "minikube")
    return choose_image(Shell(site.checkout), Settings(site.checkout), target, tag)


def test_a_build_that_does_not_end_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BUILD_TIMEOUT_SECONDS", 3)
    site.set(slow_build="yes")
    with pytest.raises(DeployError, match=r"`docker build .*` did not end within") as error:
        images.build(Shell(site.checkout), Target(site.checkout, "minikube"), choose(site))
    assert error.value.code == ExitCode.UNAVAILABLE
    assert not psutil.pid_exists(int((site.cluster / "slow-build").read_text()))
