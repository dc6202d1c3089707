from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Show what a test leaves open; elsewhere it is an error.

    The simulated account of these tests continues to run in the background.
    """
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")
