"""What a failure, an interruption or `rollback` leaves behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

import psutil
import pytest
from conftest import Site

from deploy import cli
from deploy.deployment import go_back
from deploy.errors import Interrupted
from deploy.releases import Release
from deploy.target import Target

SMALL = ("--env", "minikube-small")


def test_a_migration_follows_the_last_active_run_and_if_it_fails_nothing_new_is_served(
    deployed: Site,
) -> None:
    first = deployed.head()
    deployed.commit_again()
    deployed.set(active_jobs="sync-29384", failing="job/migrate")
    output = deployed.run("deploy", *SMALL, code=1)

    assert "for sync-29384 to finish" in output
    calls = deployed.calls()
    suspend = next(nr for nr, call in enumerate(calls) if "patch cronjob.batch/" in call)
    waited = max(nr for nr, call in enumerate(calls) if "get jobs -l" in call)
    migrate = next(nr for nr, call in enumerate(calls) if "phase=migrate" in call)
    assert suspend < waited < migrate

    assert "job/migrate failed; its last log lines are above; going back" in output
    assert any("logs job/migrate" in call for call in calls)
    assert "apply pipeboard/phase=serve" not in deployed.changes()
    assert f"release {first} runs again; the database stays as it is" in output
    assert deployed.release() == first
    assert deployed.suspended() == ["backfill"]


def test_a_workload_that_does_not_get_ready_brings_images_and_schedule_back(
    deployed: Site,
) -> None:
    first = deployed.head()
    deployed.commit_again()
    # In the release before it does not get ready either.
    deployed.set(failing="deployment/metabase")
    output = deployed.run("deploy", *SMALL, "--timeout", "1", code=1)
    assert "going back" in output
    assert "NOT done: the release before could not be applied again" in output
    assert deployed.image("cronjob/sync") == f"pipeboard:{first}"
    assert deployed.suspended() == ["backfill"]
    assert deployed.release() == first


@pytest.mark.long
def test_a_smoke_test_that_fails_leaves_nothing_of_its_release(deployed: Site) -> None:
    first = deployed.head()
    add_report(deployed)
    deployed.set(failing="job/smoke")
    output = deployed.run("deploy", *SMALL, code=1)
    assert f"release {first} runs again" in output
    assert deployed.release() == first
    assert not deployed.exists("serviceaccount/report")
    assert not deployed.exists("cronjob/report")


def test_a_first_deployment_that_fails_schedules_nothing(site: Site) -> None:
    site.set(failing="job/migrate")
    output = site.run("deploy", *SMALL, code=1)
    assert "there is no release to go back to; nothing is scheduled" in output
    assert not list(site.cluster.rglob("cronjob.*"))


def test_rollback_goes_back_by_one_with_what_the_release_added_and_again_forward(
    deployed: Site,
) -> None:
    first = deployed.head()
    deployed.create("ConfigMap", "release-notes")
    deployed.create("CronJob", "report-by-hand", "batch/v1")
    second = add_report(deployed)
    deployed.run("deploy", *SMALL)
    assert deployed.release() == second
    assert deployed.exists("cronjob/report")
    assert deployed.exists("serviceaccount/report")

    output = deployed.run("rollback", *SMALL)
    assert f"release {first} runs again; the database stays as it is" in output
    assert deployed.release() == first
    assert deployed.release("release-before") == second
    assert deployed.image("cronjob/sync") == f"pipeboard:{first}"
    assert "prune      cronjob/report" in output
    assert not deployed.exists("cronjob/report")
    assert not deployed.exists("serviceaccount/report")
    # Runs that it started go on to their end.
    (deletion,) = [call for call in deployed.calls() if "delete cronjob/report" in call]
    assert "--cascade=orphan" in deletion
    # What was made by hand stays, and what holds data.
    for name in ("configmap/release-notes", "cronjob/report-by-hand", "secret/postgres"):
        assert deployed.exists(name)

    deployed.run("rollback", *SMALL)
    assert deployed.release() == second
    assert deployed.exists("cronjob/report")
    assert deployed.exists("serviceaccount/report")


def test_rollback_without_a_release_before_is_refused(deployed: Site) -> None:
    output = deployed.run("rollback", *SMALL, code=78)
    assert "there is no release before this one in pipeboard" in output


@pytest.mark.long
def test_a_deployment_after_down_lets_the_schedule_go_again(deployed_on_prod: Site) -> None:
    site = deployed_on_prod
    site.run("down", "--env", "small")
    assert site.suspended() == ["backfill", "reference", "sweep", "sync"]
    assert not re.search(r" (delete|scale|apply) ", "\n".join(site.calls()))
    assert "differs from this release; `deploy` corrects that" in site.run(
        "status", "--env", "small"
    )
    output = site.run("deploy", "--env", "small", "--tag", "1.2.3")
    assert "release 1.2.3 runs" in output
    assert site.suspended() == ["backfill"]


def test_a_signal_brings_the_release_before_back(deployed: Site) -> None:
    first = deployed.head()
    deployed.commit_again()
    deployed.set(active_jobs="\n".join(["sync-1"] * 100))
    process = start(deployed, "deploy", *SMALL)
    assert process.stdout is not None
    read_until(process.stdout, "for sync-1 to finish")
    process.terminate()
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "interrupted by signal 15; going back" in output
    assert f"release {first} runs again" in output
    assert deployed.suspended() == ["backfill"]


@pytest.mark.long
def test_a_terminal_that_is_lost_brings_the_release_before_back(deployed: Site) -> None:
    first = deployed.head()
    deployed.commit_again()
    deployed.set(active_jobs="\n".join(["sync-1"] * 100))
    terminal, other_end = pty.openpty()
    process = start(deployed, "deploy", *SMALL, output=other_end)
    os.close(other_end)
    with os.fdopen(terminal) as lines:
        read_until(lines, "for sync-1 to finish")
    # From now on nothing can be printed.
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) != 0
    assert deployed.release() == first
    assert deployed.image("cronjob/sync") == f"pipeboard:{first}"
    assert deployed.suspended() == ["backfill"]


def test_a_signal_ends_the_program_that_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_build = site.cluster / "slow-build"
    slow_build.touch()

    def interrupt_build() -> None:
        while not slow_build.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(cli, "ROOT", site.checkout)
    monkeypatch.setattr(sys, "argv", ["run_project.sh", "deploy", *SMALL])
    handlers = {number: signal.getsignal(number) for number in cli.INTERRUPTED}
    # As `nohup` does.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        threading.Thread(target=interrupt_build).start()
        assert cli.main() == 130
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    output = "".join(site.capfd.readouterr())
    assert "run_project.sh: interrupted by signal 2" in output
    assert "going back" not in output
    assert site.changes() == ["docker build"]
    assert not psutil.pid_exists(int(slow_build.read_text()))


def test_a_signal_while_going_back_says_that_the_release_before_is_not_back(
    deployed: Site,
) -> None:
    previous = Release.read(deployed.kubectl(), "release")
    deployed.set(failing="statefulset/redis")

    def interrupt_wait() -> None:
        while not any("rollout status statefulset/redis" in call for call in deployed.calls()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    handler = signal.signal(signal.SIGINT, cli.interrupt)
    try:
        threading.Thread(target=interrupt_wait, daemon=True).start()
        with pytest.raises(Interrupted):
            go_back(deployed.kubectl(), Target(deployed.checkout, "minikube-small"), previous)
    finally:
        signal.signal(signal.SIGINT, handler)
    output = deployed.capfd.readouterr().out
    assert "NOT done: the release before could not be applied again" in output
    assert "(interrupted by signal 2)" in output


@pytest.mark.long
def test_a_rollback_that_fails_says_which_release_did_not_come_up(deployed: Site) -> None:
    first = deployed.head()
    deployed.commit_again()
    deployed.run("deploy", *SMALL)
    second = deployed.release()
    deployed.set(failing="deployment/metabase")
    output = deployed.run("rollback", *SMALL, "--timeout", "2", code=1)
    assert f"release {first} did not come up again: " in output
    assert "./run_project.sh status --env minikube-small" in output
    assert deployed.release() == second


def add_report(site: Site) -> str:
    """Commit a release with one CronJob and one account more; return its name."""
    base = site.checkout / "k8s" / "base"
    sweep = (base / "cronjob-sweep.yaml").read_text()
    (base / "cronjob-report.yaml").write_text(sweep.replace("name: sweep", "name: report"))
    account = (base / "serviceaccount-pipeboard.yaml").read_text()
    (base / "report.yaml").write_text(account.replace("name: pipeboard", "name: report"))
    kustomization = base / "kustomization.yaml"
    more = "resources:\n  - cronjob-report.yaml\n  - report.yaml\n"
    kustomization.write_text(kustomization.read_text().replace("resources:\n", more))
    return site.commit()


def read_until(lines: Iterable[str], text: str) -> None:
    """Read up to the line with a text."""
    for line in lines:
        if text in line:
            return
    pytest.fail(f"{text} was not printed")


def start(site: Site, *arguments: str, output: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["./run_project.sh", *arguments],
        cwd=site.checkout,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=heed_signals,
    )


def heed_signals() -> None:
    """Undo what `nohup` or a shell's `&` in front of the tests does: a program inherits it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
