"""The manifest of a release, read as kustomize writes it: keys sorted, two spaces a level."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.errors import DeployError, ExitCode
from deploy.images import Image
from deploy.settings import Settings
from deploy.shell import Shell
from deploy.target import Target

#: On everything that is applied, and on nothing else.
OWNER_LABEL = ("app.kubernetes.io/managed-by", "run_project")
#: The Jobs of a release, by phase: each runs once and is deleted by the next release.
JOB_PHASES = ("migrate", "provision", "smoke")
#: What runs all the time, by phase; each starts after the one before is ready.
WORKLOAD_PHASES = ("data", "serve")
SCHEDULE_PHASE = "schedule"

#: An object's kind, the phase among its labels (or nothing), and its name.
_RESOURCE = re.compile(
    r"^kind: (\S+)\nmetadata:\n(?:    pipeboard/phase: (\S+)\n| .*\n)*?  name: (\S+)\n",
    re.MULTILINE,
)
_SECRET_REFERENCE = re.compile(r"secret(?:Key)?Ref:\n(( +)\S.*\n(?:\2\S.*\n)*)")


@dataclass(frozen=True)
class Resource:
    """One object of a manifest. `kind` is in lower case; `phase` is empty for most."""

    kind: str
    name: str
    phase: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Manifest:
    """Everything that a release applies."""

    text: str

    @property
    def digest(self) -> str:
        """Return git's hash of the text."""
        content = self.text.encode()
        header = f"blob {len(content)}\0".encode()
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()

    def resources(self) -> Iterator[Resource]:
        """Give every object, in the order of the manifest."""
        for kind, phase, name in _RESOURCE.findall(self.text):
            yield Resource(kind.lower(), name, phase)

    def of_phase(self, phase: str, *wanted_kinds: str) -> list[Resource]:
        """Return the objects of a phase; of these kinds, or of all."""
        return [
            resource
            for resource in self.resources()
            if resource.phase == phase and (not wanted_kinds or resource.kind in wanted_kinds)
        ]

    def has_service(self, name: str) -> bool:
        """Tell whether the release has this Service."""
        return Resource("service", name, "") in self.resources()

    def secrets(self) -> list[str]:
        """Return the names of the Secrets that pods need, without those that may be missing."""
        names = set()
        for body, _ in _SECRET_REFERENCE.findall(self.text):
            name = re.search(r"^ +name: (\S+)", body, re.MULTILINE)
            if name and not re.search("^ +optional: true", body, re.MULTILINE):
                names.add(name[1])
        return sorted(names)


def render(shell: Shell, settings: Settings, target: Target, image: Image) -> Manifest:
    """Return the overlay with this image, and on minikube with the settings of .env."""
    label, owner = OWNER_LABEL
    lines = [
        f"resources: [../../../k8s/overlays/{target.name}]",
        f"images: [{{name: pipeboard, newName: '{image.name}', newTag: '{image.tag}'}}]",
        f"labels: [{{pairs: {{{label}: {owner}}}}}]",
        # The flows that Prefect starts run in this image, too; `images` does not change arguments.
        "patches:",
        "  - target: {kind: Deployment, name: prefect-worker}",
        "    patch: |-",
        "      - {op: replace, path: /spec/template/spec/initContainers/0/env/0/value, "
        f"value: '{image}'}}",
    ]
    if target.is_minikube:
        lines += [
            "configMapGenerator:",
            f"  - {{name: settings, namespace: {target.namespace}, behavior: merge,",
            "     envs: [settings.env], options: {disableNameSuffixHash: true}}",
        ]
    (target.work / "kustomization.yaml").write_text("".join(f"{line}\n" for line in lines))
    (target.work / "settings.env").write_text(settings.of_runs())
    text = shell.read("kubectl", "kustomize", str(target.work), quiet=False)
    if text is None:
        raise DeployError(
            ExitCode.FAILED,
            f"kustomize cannot render k8s/overlays/{target.name}; its error is above",
        )
    return Manifest(f"{text}\n")
