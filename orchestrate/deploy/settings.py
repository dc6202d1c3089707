"""Settings: the environment wins over .env, as everywhere in this project."""

from __future__ import annotations

import os
from pathlib import Path

#: Settings of .env that runs on minikube get.
OF_RUNS = (
    "PIPEDRIVE_COMPANY_DOMAIN",
    "PIPEDRIVE_API_URL",
    "PIPEDRIVE_START_DATE",
    "PIPEDRIVE_DAILY_TOKENS",
    "PIPEDRIVE_DEFINITIONS_INTERVAL",
    "PIPEDRIVE_ARCHIVED_INTERVAL",
    "PIPEBOARD_BASE_CURRENCY",
    "PIPEBOARD_REPORTING_TIMEZONE",
    "METABASE_LOCALE",
    "METABASE_SITE_URL",
)


class Settings:
    """The settings of one checkout. PIPEBOARD_ENV_FILE names another file than its .env."""

    def __init__(self, root: Path) -> None:
        self.file = root / (os.environ.get("PIPEBOARD_ENV_FILE") or ".env")

    def get(self, name: str) -> str:
        """Return a setting; empty if it is set nowhere."""
        value = os.environ.get(name, "")
        if not value and self.file.is_file():
            for line in self.file.read_text().splitlines():
                if line.startswith(f"{name}="):
                    value = line.partition("=")[2]
            value = value.removeprefix(value[:1] if value[:1] in ("'", '"') else "")
            value = value.removesuffix(value[-1:] if value[-1:] in ("'", '"') else "")
        return value

    def of_runs(self) -> str:
        """Return the settings of runs that are set, as lines of NAME=value."""
        found = {name: self.get(name) for name in OF_RUNS}
        return "".join(f"{name}={value}\n" for name, value in found.items() if value)
