"""An upgrade from 0.1.0, and the way back: the old release itself begins, and continues.

It is taken from the history of this clone, and its environments are made from its own pins.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from conftest import ROOT
from project_under_test import Site, make_site

from pipeboard.local.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.nightly
#: A commit of version 0.1.0; it has no tag.
RELEASED = "8d36692978c7aba868a474bc0712b107f7236d26"


@pytest.fixture(scope="module")
def old_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the release and its environments."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", RELEASED], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip("the history of this clone does not reach 0.1.0: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("0.1.0")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as content:
        content.extractall(folder, filter="data")
    subprocess.run([sys.executable, "orchestrate/bootstrap.py"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def site(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(server, tmp_path_factory.mktemp("upgraded site"), deals=60) as found:
        yield found


def run_old(release: Path, site: Site, job: str) -> None:
    """Run a job with the old release, on the same local state, database and account."""
    done = subprocess.run(
        [str(release / ".pipeboard" / "bin" / "pipeboard"), "run", job],
        cwd=release, env=site.checkout.environ(site.environ),
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def tokens(site: Site) -> int:
    """Return the tokens of the last sync."""
    query = "select tokens from ops.etl_run where job = 'sync' order by started_at desc limit 1"
    ((spent,),) = site.query(query)
    return int(spent)


def test_an_upgrade_continues_and_can_be_undone(old_release: Path, site: Site) -> None:
    run_old(old_release, site, "sync")
    first = tokens(site)
    assert first > 1000, "the histories of all deals"
    changed = 5
    for release in (None, old_release):
        site.control("advance", {"deals": changed, "hours": 2})
        if release:
            run_old(release, site, "sync")
        else:
            for job in ("sync", "reconcile"):
                ended = site.run("run", job)
                assert ended.code == 0, ended.out + ended.err
        assert tokens(site) <= 400 + 20 * changed, "only what changed"
        ((wrong,),) = site.query(
            "select count(*) from pipedrive.deals as deal left join marts.fct_deal as built "
            "on built.deal_id = deal.id where built.status is distinct from deal.status"
        )
        assert not wrong, "the marts show each deal as it is now"
