"""The SDK's standard suite for targets, on the fast path, on the slow path, and without COPY."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
from singer_sdk.testing import get_target_test_class

from pipeboard_target_postgres.target import TargetPostgres

# Settings are filled in once the database is up: the suite wants them at import.
_FAST: dict[str, t.Any] = {}
_FALLBACK: dict[str, t.Any] = {"validate_records": True}
_INSERT: dict[str, t.Any] = {"use_copy": False}


@pytest.fixture(autouse=True)
def _database(url: str, warehouse: t.Any) -> None:
    for config in (_FAST, _FALLBACK, _INSERT):
        config.update(
            sqlalchemy_url=url, default_target_schema=warehouse.schema, ops_schema=warehouse.ops
        )


@pytest.fixture(autouse=True)
def _close(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[None]:
    """Close the sessions of targets whose run ended in an error."""
    made: list[TargetPostgres] = []
    init = TargetPostgres.__init__

    def remember(self: TargetPostgres, *args: t.Any, **kwargs: t.Any) -> None:
        init(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(TargetPostgres, "__init__", remember)
    yield
    for target in made:
        with contextlib.suppress(Exception):
            target.dispatcher.close()


class TestFast(get_target_test_class(TargetPostgres, config=_FAST)):  # type: ignore[misc]
    """By the fast path."""


class TestFallback(get_target_test_class(TargetPostgres, config=_FALLBACK)):  # type: ignore[misc]
    """Through the SDK."""


class TestInsert(get_target_test_class(TargetPostgres, config=_INSERT)):  # type: ignore[misc]
    """Without COPY."""
