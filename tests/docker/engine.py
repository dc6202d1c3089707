"""Podman, with images that are made here instead of pulled: no test asks an image registry.

Its storage is a folder of its own, so that a made base never takes the place of a pulled one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from build_context import sent_to_the_builder

ROOT = Path(__file__).resolve().parents[2]
STORAGE = ROOT / ".pipeboard" / "test" / "containers"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
#: What the machine needs to reach the package index, and its containers too.
NETWORK = re.compile(r"(PIP|UV)_\w*|(HTTPS?|NO|ALL)_PROXY", re.IGNORECASE)
#: Variables that name a file or folder of the machine mean nothing in a container.
FILE = re.compile(r"/|file:")
#: What an official slim image leaves out, too.
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
APT = 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache ""; Acquire::Languages "none";'
#: The base of the Dockerfile: its packages of Debian 12.
BASE = ("python3", "python3-venv", "ca-certificates", "passwd")


def whole_name(image: str) -> str:
    """Return the whole name of an image, as Docker completes a short one."""
    owner = "" if "/" in image else "library/"
    return f"docker.io/{owner}{image}"


class Unavailable(Exception):
    """This machine cannot build or run containers."""


class Engine:
    """Podman as root, with its images in `.pipeboard/test`."""

    options = ("--root", str(STORAGE / "storage"), "--runroot", str(STORAGE / "run"))

    def __init__(self) -> None:
        for program in ("podman", "runc", "mmdebstrap"):
            if not shutil.which(program):
                reason = f"{program} is not installed"
                raise Unavailable(reason)
        if os.geteuid() != 0:
            reason = "only root makes a base from Debian packages here"
            raise Unavailable(reason)
        STORAGE.mkdir(parents=True, exist_ok=True)
        config = STORAGE / "containers.conf"
        # A machine without CAP_SYS_RESOURCE cannot raise its limits to those of Podman; crun, which
        # Podman prefers, starts nothing where both versions of control groups are mounted.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        config.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            '[network]\nnetwork_backend = "netavark"\n'
        )
        self.environ = {**os.environ, "CONTAINERS_CONF": str(config)}
        # Tests that were killed leave containers.
        info = self.podman("rm", "--force", "--all", check=False)
        if info.returncode:
            reason = f"podman does not work: {info.stderr.strip().splitlines()[-1]}"
            raise Unavailable(reason)

    def podman(
        self, *argv: str, check: bool = True, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Podman."""
        done = subprocess.run(
            ["podman", *self.options, *argv],
            # It leaves a file where it works if a container has too little memory.
            cwd=STORAGE,
            env=self.environ,
            text=True,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"podman {argv}\n{done.stdout}{done.stderr}"
        return done

    def inspect(self, name: str) -> Any:
        """Return what Podman knows of a container or image."""
        return json.loads(self.podman("inspect", name).stdout)[0]

    def make_base(self, name: str) -> None:
        """Make a base image with this name of Debian packages, unless there is one.

        It also gets what the machine itself needs to install packages: certificates and settings.
        """
        full = whole_name(name)
        if self.podman("image", "exists", full, check=False).returncode:
            self._import_base(full)
        started = self.podman(
            "run", "--rm", "--network=host", "--memory=64m", full, "true", check=False
        )
        if started.returncode:
            reason = f"podman starts no container: {started.stderr.strip().splitlines()[-1]}"
            raise Unavailable(reason)

    def debian(self, packages: Sequence[str], *hooks: str) -> Path:
        """Return an archive of Debian packages; the hooks of mmdebstrap complete it."""
        archive = STORAGE / "base.tar"
        options = [f"--dpkgopt=path-exclude={path}" for path in UNNEEDED]
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(packages)}", *options]
            + [f"--aptopt={APT}", *(f"--customize-hook={hook}" for hook in hooks)]
            + ["bookworm", str(archive)],
            # Hundreds of programs are looked for, and a developer's own folders come first.
            env={**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            text=True,
            capture_output=True,
            check=False,
        )
        if made.returncode:
            reason = f"no base of Debian packages: {made.stderr.strip().splitlines()[-1]}"
            raise Unavailable(reason)
        return archive

    def _import_base(self, full: str) -> None:
        archive = self.debian(BASE, f"upload {CERTIFICATES} {CERTIFICATES}")
        environ = {"SSL_CERT_FILE": str(CERTIFICATES), "PIP_CERT": str(CERTIFICATES)}
        environ |= {
            variable: value
            for variable, value in os.environ.items()
            if NETWORK.fullmatch(variable) and not FILE.match(value)
        }
        environ |= {"UV_CACHE_DIR": "/var/cache/uv"}
        settings = [f"ENV {name}={value}" for name, value in environ.items()]
        changes = [word for setting in settings for word in ("--change", setting)]
        self.podman("import", "--quiet", *changes, str(archive), full)
        archive.unlink()

    def build(self, project: Path) -> str:
        """Build the Dockerfile of a checkout, unless that is done; return the image's name."""
        dockerfile = (project / "Dockerfile").read_text()
        (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
        self.make_base(base)
        digest = hashlib.sha256()
        for name in ("Dockerfile", ".dockerignore", *sent_to_the_builder()):
            digest.update(f"{name}\0".encode() + (project / name).read_bytes())
        image = f"localhost/pipeboard:{digest.hexdigest()[:12]}"
        if self.podman("image", "exists", image, check=False).returncode == 0:
            return image
        old = self.podman("images", "--quiet", "localhost/pipeboard").stdout.split()
        if old:
            self.podman("rmi", "--force", *old)
        # uv's cache of this machine has most packages already.
        cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
        cache.mkdir(parents=True, exist_ok=True)
        self.podman(
            *("build", "--layers=false", "--network=host", "--format=docker", "--tag", image),
            *("--volume", f"{cache}:/var/cache/uv", str(project)),
            timeout=1200,
        )
        return image
