"""The settings of Metabase that are managed.

A setting that the server was started with (MB_...) wins; a setting that a version of Metabase does
not have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeboard_metabase.client import Client
from pipeboard_metabase.run import Run
from pipeboard_metabase.settings import Settings


def wanted_settings(settings: Settings) -> dict[str, Any]:
    """Return the managed settings, by Metabase's names."""
    wanted: dict[str, Any] = {
        "site-locale": settings.locale,
        "report-timezone": settings.timezone,
        "start-of-week": "monday",
        # Links without a login are nothing for sales figures.
        "enable-public-sharing": False,
        "enable-embedding": False,
        "anon-tracking-enabled": False,
    }
    if settings.site_url:
        wanted["site-url"] = settings.site_url
    return wanted


def keep_settings(run: Run, wanted: Mapping[str, Any]) -> None:
    """Set every setting that differs."""
    listed = run.get("setting", [{"key": key} for key in wanted])
    known = {setting["key"]: setting for setting in listed}
    for key, value in wanted.items():
        if key not in known:
            continue
        setting = known[key]
        # A setting that nobody set counts as what Metabase takes for it.
        there = setting.get("value")
        there = setting.get("default") if there is None else there
        if there == value:
            continue
        if setting.get("is_env_setting"):
            run.console.note("settings", f"{key} stays as {setting.get('env_name')} says")
            continue
        run.change("update", "setting", key, _setting(key, value), [f"{there!r} -> {value!r}"])


def keep_homepage(run: Run, dashboard: int) -> None:
    """Let everybody begin at a dashboard."""
    keep_settings(run, {"custom-homepage": True, "custom-homepage-dashboard": dashboard})


def _setting(key: str, value: Any) -> Callable[[Client], Any]:
    def put(client: Client) -> Any:
        return client.put(f"setting/{key}", {"value": value})

    return put
