"""The records of releases: ConfigMaps in the cluster, where every operator finds them."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import Any

from deploy.cluster import Cluster
from deploy.errors import DeployError, ExitCode
from deploy.manifest import Manifest

CURRENT = "release"
PREVIOUS = "release-before"


@dataclass(frozen=True)
class Release:
    """What was applied: its image's tag, the commit of its manifests, the manifest itself."""

    tag: str
    commit: str
    manifest: Manifest

    @classmethod
    def read(cls, cluster: Cluster, name: str) -> Release | None:
        """Read a record; None if there is none. Raises 69 if it cannot be read."""
        found = cluster.read_object("the releases", "get", "configmap", name)
        if found is None:
            return None
        try:
            packed = base64.b64decode(found["binaryData"]["manifest.gz"])
            manifest = Manifest(gzip.decompress(packed).decode())
            return cls(found["data"]["tag"], found["data"].get("commit", "unknown"), manifest)
        except (KeyError, OSError, EOFError, ValueError) as error:
            raise DeployError(
                ExitCode.UNAVAILABLE,
                f"configmap/{name} of namespace {cluster.namespace} is no release ({error!r}); "
                f"to deploy without it: kubectl -n {cluster.namespace} delete configmap {name}",
            ) from error

    def record(self, name: str) -> dict[str, Any]:
        """Return the ConfigMap that keeps it."""
        packed = gzip.compress(self.manifest.text.encode(), 9, mtime=0)
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"tag": self.tag, "commit": self.commit, "digest": self.manifest.digest},
            "binaryData": {"manifest.gz": base64.b64encode(packed).decode()},
        }


def record_release(cluster: Cluster, release: Release, previous: Release | None) -> None:
    """Make `release` the current one, and `previous` the one to go back to if it differs."""
    records = [release.record(CURRENT)]
    if previous is not None and previous.manifest.digest != release.manifest.digest:
        records.insert(0, previous.record(PREVIOUS))
    cluster.apply_objects(*records)


def require_release(cluster: Cluster, name: str, message: str) -> Release:
    """Return a recorded release; raises 78 with `message` if there is none."""
    release = Release.read(cluster, name)
    if release is None:
        raise DeployError(ExitCode.CONFIGURATION, message)
    return release
