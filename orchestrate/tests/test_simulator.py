"""The simulated account of the demo as the supervisor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_ins import ROOT

from pipeboard.errors import PipeboardError
from pipeboard.local.simulator import Account, Simulator

COMMAND = ROOT / ".pipeboard" / "bin" / "pipedrive-simulator"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    found = Simulator(tmp_path / "account", COMMAND)
    yield found
    found.stop()


def test_an_account_keeps_its_size_port_and_changes(simulator: Simulator) -> None:
    assert simulator.is_new
    first = simulator.start(Account(deals=20, seed=3))
    assert simulator.start(Account(deals=99)) == first, "it runs already"
    assert simulator.advance(2)["deals"] == 2
    assert simulator.stop()
    assert not simulator.is_new
    again = simulator.start(Account(deals=99, seed=4))
    assert again["port"] == first["port"]
    assert '"deals": 20' in (simulator.folder / "plan.json").read_text()
    assert simulator.stats()["operations"] == {}


def test_an_account_whose_plan_is_lost_begins_anew(simulator: Simulator) -> None:
    simulator.folder.mkdir()
    (simulator.folder / "account.state").write_text("of another size")
    (simulator.folder / "plan.json").write_text('{"people": 5}')
    simulator.start(Account(deals=20))
    assert '"deals": 20' in (simulator.folder / "plan.json").read_text()


def test_a_refused_request_names_the_log(simulator: Simulator) -> None:
    with pytest.raises(PipeboardError, match="the simulated account does not run"):
        simulator.stats()
    simulator.start(Account(deals=20))
    with pytest.raises(PipeboardError, match=r"refuses to advance \(4\d\d\)") as caught:
        simulator.advance(-1)
    assert "simulator.log" in caught.value.remedy
