from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Show what a test leaves open; elsewhere it is an error.

    The programs of these tests continue to run in the background.
    """
    config.addinivalue_line("filterwarnings", "default::ResourceWarning")
    config.addinivalue_line("filterwarnings", "default::pytest.PytestUnraisableExceptionWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the order of the tests of a module: they share a set-up, and change it."""
    for item in items:
        item.add_marker(pytest.mark.random_order(disabled=True))
