"""The fingerprint of a dbt project: if it changes, every model is built again.

Uses nothing but the standard library: launch.py needs it before any environment is known.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

SUFFIXES = (".sql", ".yml", ".yaml", ".csv")
#: Folders that dbt writes to.
GENERATED = {"target", "logs"}
ENVIRONMENT_VARIABLE = re.compile(rb"""env_var\(\s*['"](\w+)['"]""")
#: It configures the connection, not the models.
CONNECTION = "profiles.yml"


def fingerprint_of(project: Path, dbt: Path, environ: Mapping[str, str]) -> str:
    """Return a hash of everything that defines the models, apart from the data.

    Args:
        project: folder of the dbt project: its files count, those of installed packages included.
        dbt: folder of the environment that dbt is installed in: the versions of dbt count.
        environ: variables that the project's files read count, with their values.

    """
    digest, variables = hashlib.sha256(), set[str]()
    for path in sorted(_files(project)):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(project)}\0{len(text)}\0".encode() + text)
        if path.name != CONNECTION:
            variables.update(name.decode() for name in ENVIRONMENT_VARIABLE.findall(text))
    digest.update(repr([(name, environ.get(name)) for name in sorted(variables)]).encode())
    found = dbt.glob("lib/python*/site-packages/dbt_*.dist-info")
    digest.update(repr(sorted(path.name for path in found)).encode())
    return digest.hexdigest()[:16]


def _files(project: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(project, followlinks=True):
        folders[:] = [name for name in folders if name not in GENERATED and name[0] != "."]
        yield from (Path(folder, name) for name in files if name.endswith(SUFFIXES))
