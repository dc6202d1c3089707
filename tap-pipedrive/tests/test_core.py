"""The SDK's standard suite for taps, against the simulated account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pipedrive_simulator.testing import running_simulator
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_pipedrive import generate
from tap_pipedrive.tap import TapPipedrive

#: The SDK's own tests warn of what is right here: no record has `_extra` unless the API sends a
#: property that is not known, and some lists of the account are empty.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Fields in transformed catalog but not in records"),
    pytest.mark.filterwarnings("ignore:No records were available to test"),
]

_SIMULATOR = running_simulator(deals=300, seed=7)
_RUNNING = _SIMULATOR.__enter__()


# Not by module: in a random order the SDK's class is another group than the tests of this module.
@pytest.fixture(scope="session", autouse=True)
def _stop_the_simulator() -> object:
    yield
    _SIMULATOR.__exit__(None, None, None)


CONFIG = {"api_token": _RUNNING.token, "api_url": _RUNNING.url}


def everything_selected() -> dict[str, Any]:
    """The catalog with every stream selected, also those that are off by default."""
    catalog: dict[str, Any] = TapPipedrive(config=CONFIG).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["metadata"].get("inclusion") != "automatic":
                entry["metadata"]["selected"] = True
    return catalog


TestTapPipedrive = get_tap_test_class(
    TapPipedrive,
    config=CONFIG,
    catalog=everything_selected(),
    suite_config=SuiteConfig(max_records_limit=600),
)


def test_the_catalog_equals_its_snapshot() -> None:
    """A change of a schema shows as a diff; ``python -m tap_pipedrive.generate`` accepts it."""
    snapshot = Path(__file__).with_name("catalog.json").read_text(encoding="utf-8")
    assert json.loads(snapshot) == generate.catalog()
