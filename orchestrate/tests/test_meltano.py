"""Meltano as the project starts it: the same settings, with fewer look-ups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from pipeboard.run import meltano

PYTHON = Path(__file__).parents[2] / ".pipeboard" / "env" / "meltano" / "bin" / "python"
#: `load_schema` is one of the extra settings, which may refer to the others.
PROJECT = """
default_environment: dev
environments:
  - name: dev
plugins:
  extractors:
    - name: tap-files
      namespace: tap_files
      executable: tap-files
      load_schema: loaded_from_$TAP_FILES_FOLDER
      settings:
        - {name: folder, value: $FOLDER}
        - {name: pattern, value: "*.csv"}
        - {name: encoding}
        - {name: start_date}
    - name: tap-files-again
      inherit_from: tap-files
"""
#: Lists the settings of both extractors, and counts how often Meltano looks for one.
LISTINGS = """
import json, os, runpy, sys
from meltano.core.plugin.settings_service import PluginSettingsService
from meltano.core.project import Project
from meltano.core.settings_service import SettingsService

find, found = SettingsService.get_with_metadata, []
def count(self, name, **options):
    found.append(name)
    return find(self, name, **options)
SettingsService.get_with_metadata = count

project = Project(os.getcwd())
plugins = [project.plugins.find_plugin(name) for name in ("tap-files", "tap-files-again")]
services = [PluginSettingsService(project, plugin) for plugin in plugins]

def listing(folder):
    os.environ["FOLDER"] = folder
    found.clear()
    listings = [service.config_with_metadata() for service in services]
    return [{name: of["value"] for name, of in each.items()} for each in listings], len(found)

stock = listing("first"), listing("second")
runpy.run_path(sys.argv[1])["resolve_plain_settings_once"]()
print(json.dumps([*stock, listing("first"), listing("second")]))
"""


def test_settings_are_the_same_with_half_of_the_look_ups(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(PROJECT)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", LISTINGS, meltano.__file__],
        env={**inherited, "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false"},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (first, often), (second, _), *found = json.loads(done.stdout.splitlines()[-1])
    assert [each["_load_schema"] for each in (*first, *second)] == [
        *("loaded_from_first", "loaded_from_first", "loaded_from_second", "loaded_from_second")
    ]
    assert [values for values, _ in found] == [first, second]
    assert all(looked_up < often / 2 for _, looked_up in found), (often, found)
