from __future__ import annotations

from pipeboard_metabase.definitions import load


def test_the_definitions_that_ship_are_sound() -> None:
    assert load().dashboards
