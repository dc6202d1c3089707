from __future__ import annotations

from pathlib import Path

import pytest
from engine import Engine, Unavailable

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config: pytest.Config) -> None:
    """Show what a test leaves open; elsewhere it is an error.

    The simulated account of these tests continues to run in the background.
    """
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def engine() -> Engine:
    try:
        return Engine()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    try:
        return engine.build(ROOT)
    except Unavailable as reason:
        pytest.skip(str(reason))
