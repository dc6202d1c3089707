"""The command `meltano`: the same settings, resolved with less work, and a quicker start.

launch.py starts this file with Meltano's own Python; the version of Meltano is pinned in
requirements/. In a run without new data the settings are about 30 % of the CPU of Meltano.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Any


def resolve_plain_settings_once() -> None:
    """Resolve a plugin's settings once when its extra settings are listed.

    Extra settings (`_select`, `_catalog`, ...) may refer to the other settings, and Meltano
    resolves all of those anew for each extra setting. Each listing has a manager of its own, and
    no setting changes during a listing.
    """
    service = import_module("meltano.core.settings_service").SettingsService
    as_env = service.as_env

    def as_env_once(self: Any, *arguments: Any, **options: Any) -> dict[str, str]:
        manager = options.get("source_manager")
        if manager is None or arguments or options.get("extras") is not False:
            found: dict[str, str] = as_env(self, *arguments, **options)
            return found
        resolved: dict[Any, dict[str, str]] = vars(manager).setdefault("plain_settings", {})
        key = (id(self), options.get("redacted"), options.get("source"))
        if key not in resolved:
            resolved[key] = as_env(self, **options)
        return resolved[key]

    service.as_env = as_env_once


def main() -> None:
    """Run Meltano with the arguments of the command line; it ends this process."""
    # Objects that imports create are permanent: collecting garbage costs a quarter of the start.
    gc.disable()
    resolve_plain_settings_once()
    meltano = import_module("meltano.cli")
    gc.freeze()
    gc.enable()
    sys.argv[0] = "meltano"
    meltano.main()


if __name__ == "__main__":
    main()
