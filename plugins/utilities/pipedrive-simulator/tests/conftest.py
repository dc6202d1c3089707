"""Fixtures: accounts, and the folder of the official documents."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from simulator_helpers import Caller, make_account, make_caller

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def caller() -> Caller:
    """A small account of its own."""
    return make_caller(make_account())


@pytest.fixture(scope="session")
def big() -> Caller:
    """A thousand deals; tests must not change it."""
    return make_caller(make_account(deals=1000))


@pytest.fixture(scope="session")
def spec_dir() -> Path:
    folder = Path(os.environ.get("PIPEDRIVE_SPEC_DIR", REPOSITORY.parent / "shared/pipedrive/spec"))
    if not list(folder.glob("pipedrive-v*-openapi-*.json")):
        pytest.skip(f"the official OpenAPI documents are not in {folder} (set PIPEDRIVE_SPEC_DIR)")
    return folder


@pytest.fixture(scope="session")
def crm_dir() -> Path:
    folder = Path(os.environ.get("PIPEBOARD_CRM_DIR", REPOSITORY.parent / "shared/data/crm"))
    if not (folder / "sales_pipeline.csv").is_file():
        pytest.skip(f"the CRM files are not in {folder} (set PIPEBOARD_CRM_DIR)")
    return folder
