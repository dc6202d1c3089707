"""Where a deployment goes: a folder of k8s/overlays, which `--env` names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import DeployError, ExitCode


@dataclass(frozen=True)
class Target:
    """One overlay of the checkout `root`."""

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9-]+", self.name) or not self._kustomization.is_file():
            raise DeployError(
                ExitCode.USAGE,
                f"there is no k8s/overlays/{self.name}; k8s/new-account.sh makes one for a company",
            )

    @property
    def is_minikube(self) -> bool:
        """Tell whether it is on this machine, so that images are loaded and Secrets are made."""
        return self.name.startswith("minikube")

    @property
    def is_account(self) -> bool:
        """Tell whether it is one account of several."""
        return self.name.startswith("account-")

    @property
    def namespace(self) -> str:
        """Return the namespace that the overlay names."""
        found = re.search(r"^namespace: *(\S+)", self._kustomization.read_text(), re.MULTILINE)
        if found is None:
            raise DeployError(
                ExitCode.CONFIGURATION,
                f"k8s/overlays/{self.name}/kustomization.yaml names no namespace",
            )
        return found[1]

    @property
    def work(self) -> Path:
        """Return the folder for the rendered manifest and the forwarded ports."""
        folder = self.root / ".pipeboard" / "deploy" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def _kustomization(self) -> Path:
        return self.root / "k8s" / "overlays" / self.name / "kustomization.yaml"
