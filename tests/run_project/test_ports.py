"""Forwarded ports: real processes, whose end `down` is."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest
from conftest import Site, is_open

from deploy import ports

SMALL = ("--env", "minikube-small")
#: Of a test whose own process starts the forwarding, as a command does that ends before it.
STARTED_HERE = pytest.mark.filterwarnings(
    "ignore:subprocess [0-9]+ is still running:ResourceWarning"
)


def test_a_forwarded_port_answers_is_forwarded_once_and_ends_with_down(
    deployed: Site, free_ports: int
) -> None:
    folder = deployed.checkout / ".pipeboard" / "deploy" / "minikube-small" / "forward"
    deployed.script("forward", *SMALL)
    assert is_open(3001 + free_ports)
    process = int((folder / "metabase.pid").read_text())
    deployed.script("forward", *SMALL)
    assert int((folder / "metabase.pid").read_text()) == process
    deployed.script("down", *SMALL)
    wait_for_end(process)
    assert not list(folder.glob("*.pid"))
    assert not is_open(3001 + free_ports)


@STARTED_HERE
def test_a_forwarded_port_is_the_one_that_is_wanted_and_was_free_before(
    deployed: Site, free_ports: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.run("forward", *SMALL)
    assert "already" in deployed.run("forward", *SMALL)
    first, other = 3001 + free_ports, 3001 + free_ports + 500
    monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", str(free_ports + 500))
    output = deployed.run("forward", *SMALL)
    assert f"metabase is on http://127.0.0.1:{other}" in output
    assert "already" not in output
    assert is_open(other)
    assert not is_open(first)
    assert "would      end the forwarding of metabase" in deployed.run("down", *SMALL, "--dry-run")
    assert is_open(other)
    folder = deployed.checkout / ".pipeboard" / "deploy" / "minikube-small" / "forward"
    process = int((folder / "metabase.pid").read_text())
    deployed.run("down", *SMALL)
    wait_for_end(process)
    assert not is_open(other)
    monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", str(free_ports))
    with socket.create_server(("127.0.0.1", first)):
        output = deployed.run("forward", *SMALL, code=69)
    assert f"port {first} of this machine is taken" in output


@STARTED_HERE
def test_a_service_that_does_not_answer_ends_the_command_with_69(
    deployed: Site, free_ports: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "ANSWER_TIMEOUT_SECONDS", 0.5)
    deployed.set(no_forward="yes")
    output = deployed.run("forward", *SMALL, code=69)
    assert f"metabase does not answer on {3001 + free_ports}; " in output
    assert "metabase.log says why" in output
    deployed.run("down", *SMALL)
    assert not list(deployed.checkout.glob(".pipeboard/deploy/*/forward/*.pid"))


def test_down_ends_no_process_that_it_did_not_start(site: Site) -> None:
    folder = site.checkout / ".pipeboard" / "deploy" / "minikube-small" / "forward"
    folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        (folder / "metabase.pid").write_text(f"{other.pid}\n")
        site.run("down", *SMALL)
        assert other.poll() is None
        assert not list(folder.iterdir())
        other.kill()


def test_a_port_shift_that_is_no_number_is_refused(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", "many")
    assert "PIPEBOARD_PORT_SHIFT is a number" in deployed.run("forward", *SMALL, code=78)


def wait_for_end(process: int) -> None:
    """Wait for the end of a forwarding, also of one that this process has to reap."""
    for _ in range(100):
        ended = subprocess.run(["ps", "-p", str(process)], stdout=subprocess.DEVNULL, check=False)
        if ended.returncode:
            return
        time.sleep(0.1)
    pytest.fail(f"{process} still runs")
