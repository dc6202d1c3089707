"""Forwarded ports: real processes, whose end `down` is."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest
from conftest import Site, is_open

SMALL = ("--env", "minikube-small")


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


def test_a_forwarded_port_is_the_one_that_is_wanted_and_was_free_before(
    deployed: Site, free_ports: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.script("forward", *SMALL)
    first, other = 3001 + free_ports, 3001 + free_ports + 500
    monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", str(free_ports + 500))
    output = deployed.script("forward", *SMALL)
    assert f"metabase is on http://127.0.0.1:{other}" in output
    assert "already" not in output
    assert is_open(other)
    assert not is_open(first)
    deployed.script("down", *SMALL)
    monkeypatch.setenv("PIPEBOARD_PORT_SHIFT", str(free_ports))
    with socket.create_server(("127.0.0.1", first)):
        output = deployed.run("forward", *SMALL, code=69)
    assert f"port {first} of this machine is taken" in output


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
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"{process} still runs")
