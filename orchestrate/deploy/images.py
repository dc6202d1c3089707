"""The image of a release: its name, and how it gets to where it runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from deploy.errors import DeployError, ExitCode
from deploy.settings import Settings
from deploy.shell import BUILD_TIMEOUT_SECONDS, Shell, say
from deploy.target import Target


@dataclass(frozen=True)
class Image:
    """An image, and the commit whose manifests go out with it."""

    name: str
    tag: str
    checkout: str
    #: Whether it is built from this checkout; else it exists already.
    is_built_here: bool

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


def choose_image(shell: Shell, settings: Settings, target: Target, tag: str) -> Image:
    """Return the image `tag`, or without a tag the one of this checkout.

    Raises 78 if git knows the tag as another commit than the one checked out.
    """
    name = "pipeboard" if target.is_minikube else settings.get("PIPEBOARD_IMAGE")
    if not tag:
        checkout = name_checkout(shell)
        return Image(name, checkout, checkout, is_built_here=True)
    head = shell.read("git", "rev-parse", "--quiet", "--verify", "HEAD")
    if head is None:
        return Image(name, tag, "unknown", is_built_here=False)
    checkout = name_checkout(shell)
    check_tag(shell, tag, head, checkout)
    return Image(name, tag, checkout, is_built_here=False)


def name_checkout(shell: Shell) -> str:
    """Return the commit, and if not all is committed a fingerprint of the changes.

    So no two contents have the same name.
    """
    commit = shell.read("git", "rev-parse", "--short=12", "HEAD")
    changes = shell.read("git", "status", "--porcelain", "--untracked-files=all")
    if not commit or changes is None:
        raise DeployError(
            ExitCode.CONFIGURATION,
            "git does not know the commit of this checkout; --tag names an image that exists",
        )
    if not changes:
        return commit
    difference = shell.read("git", "diff", "--binary", "HEAD") or ""
    fingerprint = hashlib.sha256((changes + difference).encode(errors="surrogateescape"))
    new = shell.read("git", "ls-files", "--others", "--exclude-standard", "-z") or ""
    for path in sorted(filter(None, new.split("\0"))):
        if (shell.root / path).is_file():
            fingerprint.update((shell.root / path).read_bytes())
    return f"{commit}-{fingerprint.hexdigest()[:8]}"


def check_tag(shell: Shell, tag: str, head: str, checkout: str) -> None:
    """Refuse an image of another commit: manifests come from this checkout, and may not fit it."""
    without_changes = tag[:-9] if tag[-9:-8] == "-" else tag
    commit = None
    for name in (f"refs/tags/{tag}", f"refs/tags/v{tag}", without_changes):
        commit = commit or shell.read(
            "git", "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"
        )
    if not commit:
        say("tag", f"git does not know {tag}; the manifests are those of this checkout, {checkout}")
    elif commit != head:
        raise DeployError(
            ExitCode.CONFIGURATION,
            f"image {tag} is commit {commit[:12]}, and the manifests here are of {checkout}: "
            f"git checkout {commit[:12]}",
        )


def build(shell: Shell, target: Target, image: Image) -> None:
    """Build the image of this checkout, and load it into minikube or push it."""
    if not image.is_built_here:
        return
    if target.is_minikube:
        images = (shell.read("minikube", "image", "ls") or "").splitlines()
        if any(line.rpartition("/")[2] == str(image) for line in images):
            say("build", f"{image} is there")
            return
    say("build", str(image))
    revision = shell.read("git", "rev-parse", "HEAD")
    shell.change(
        *("docker", "build", "--quiet", "--build-arg", f"REVISION={revision}"),
        *("--tag", str(image), "."),
        timeout=BUILD_TIMEOUT_SECONDS,
    )
    if target.is_minikube:
        load = ("minikube", "image", "load", str(image))
    else:
        load = ("docker", "push", "--quiet", str(image))
    shell.change(*load, timeout=BUILD_TIMEOUT_SECONDS)
