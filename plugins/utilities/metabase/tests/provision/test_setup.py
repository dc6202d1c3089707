"""Getting in: first setup, passwords, keys, versions, and every way in which that fails."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import psycopg
import pytest
from card_helpers import Server
from pipeboard_metabase.client import Client, Refused
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.settings import Warehouse, find_manifest
from provision_helpers import EMAIL, PASSWORD, READER_PASSWORD, Command, Site
from standin import ADMINISTRATORS


def key_of(site: Site) -> str:
    return site.key_file.read_text().strip()


def test_the_key_lies_in_a_file_for_us_alone_and_in_no_output(site: Site, run: Command) -> None:
    site.key_file.parent.mkdir()
    site.key_file.write_text("mb_of-another-metabase")
    site.key_file.chmod(0o644)
    assert run("apply") == 0, site.err
    assert stat.S_IMODE(site.key_file.stat().st_mode) == 0o600
    (key,) = site.standin.keys.values()
    assert key_of(site) == key["key"]
    assert site.standin.users[key["user"]]["is_superuser"]
    assert run("plan", METABASE_URL="http://127.0.0.1:9") == 69
    assert not any(key["key"] in message for message in site.shown)
    assert not any(
        session in message for message in site.shown for session in site.standin.sessions
    )


def test_a_key_is_stored_while_it_works_made_anew_when_not_and_shown_on_request_only(
    site: Site, run: Command
) -> None:
    assert run("apply") == 0
    first = key_of(site)
    assert run("api-key") == 0 and "kept" in site.out
    assert key_of(site) == first and site.standin.writes == []
    assert run("api-key", "--renew") == 0
    second = key_of(site)
    assert second != first and len(site.standin.keys) == 1
    assert run("api-key", "--print") == 0
    third = site.out.strip()
    assert third.startswith("mb_") and third not in site.err
    # That ends the file's key; the output has the new one.
    assert run("plan", METABASE_ADMIN_PASSWORD="", METABASE_ADMIN_EMAIL="") == 78
    assert run("check", METABASE_API_KEY=third, METABASE_ADMIN_PASSWORD="") == 0, site.err
    assert run("apply") == 0 and key_of(site) != third


def test_without_a_key_file_nothing_is_written(site: Site, run: Command) -> None:
    assert run("apply", "--no-key") == 0, site.err
    assert site.standin.keys == {} and not site.key_file.exists()
    assert run("apply", "--no-key") == 0 and site.standin.writes == []


def test_a_second_setup_is_no_error(site: Site, run: Command) -> None:
    """Another client set it up first (403): the command logs in instead."""

    def faster() -> None:
        site.standin.add_user(EMAIL, PASSWORD)

    site.standin.faults.append(("POST setup", faster))
    assert run("apply") == 0, site.err
    assert ("POST", "session") in [(method, path) for method, path, _ in site.standin.log]


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"METABASE_URL": ""}, 78, "METABASE_URL is not set. Put it into .env"),
        ({"METABASE_URL": "localhost:3000"}, 78, "is no web address"),
        ({"METABASE_URL": "http://127.0.0.1:9"}, 69, "does not answer"),
        ({"METABASE_DATABASE_URL": ""}, 78, "METABASE_DATABASE_URL is not set"),
        ({"METABASE_DATABASE_URL": "mysql://u:hush@h/d"}, 78, "is not a PostgreSQL URL"),
        ({"METABASE_LOCALE": "fr"}, 78, "METABASE_LOCALE is 'fr'. Write one of: en, pt"),
        ({"METABASE_TIMEOUT_SECONDS": "soon"}, 78, "METABASE_TIMEOUT_SECONDS is 'soon'"),
        ({"METABASE_DBT_MANIFEST": "/nowhere.json"}, 78, "names /nowhere.json"),
        ({"METABASE_ADMIN_PASSWORD": "hush hush"}, 77, "does not accept METABASE_ADMIN_EMAIL"),
        ({"METABASE_ADMIN_PASSWORD": ""}, 78, "there are no credentials for Metabase"),
        ({"METABASE_API_KEY": "mb_hush"}, 77, "does not accept METABASE_API_KEY (401)"),
        ({"PIPEBOARD_DATABASE_URL": "postgresql://u:hush@127.0.0.1:9/d"}, 69, "warehouse does not"),
    ],
)
def test_what_is_wrong_is_message_with_its_remedy(
    site: Site, run: Command, given: dict[str, str], code: int, message: str
) -> None:
    site.standin.add_user(EMAIL, PASSWORD)
    assert run("check", **given) == code, site.err
    assert message in site.err
    assert site.err.startswith("pipeboard-metabase: ") and site.err.count("\n") == 1
    assert "hush" not in site.out + site.err
    assert site.standin.writes == []


def test_who_guesses_passwords_is_slowed_down(site: Site, run: Command) -> None:
    site.standin.add_user(EMAIL, PASSWORD)
    for _ in range(5):
        assert run("check", METABASE_ADMIN_PASSWORD="wrong") == 77
        # One run is one guess.
        assert [path for _, path, _ in site.standin.log].count("session") == 1
    assert run("check") == 69
    assert "too many logins" in site.err and "Try again in a minute" in site.err


def test_nobody_has_set_it_up_yet(site: Site, run: Command) -> None:
    nobody = {"METABASE_ADMIN_EMAIL": "", "METABASE_ADMIN_PASSWORD": ""}
    assert run("apply", **nobody) == 78
    assert "nobody has set up the Metabase" in site.err
    assert run("smoke") == 78
    assert run("apply", METABASE_ADMIN_PASSWORD="short") == 65
    assert "password is too common" in site.err


def test_a_key_that_is_no_administrators_is_refused(site: Site, run: Command) -> None:
    site.standin.add_user("reader", "", superuser=False)
    site.standin.keys[1] = {"name": "Reports", "user": "reader", "key": "mb_reader"}
    site.standin.add_user(EMAIL, PASSWORD)
    assert run("plan", METABASE_API_KEY="mb_reader") == 77
    assert "METABASE_API_KEY is no administrator of Metabase" in site.err


@pytest.mark.parametrize(
    ("version", "code", "message"),
    [
        ("v0.56.4", 78, "Metabase is v0.56.4, and 0.57 or newer is needed"),
        ("v0.61.3", 0, "metabase      v0.61.3\n"),
        ("v1.63.2", 0, "v1.63.2"),
        ("v0.99.0", 0, "v0.99.0, newer than 0.65, the newest known version"),
        ("vLOCAL_DEV", 0, "which says nothing"),
    ],
)
def test_versions(site: Site, run: Command, version: str, code: int, message: str) -> None:
    site.standin.version = version
    assert run("apply") == code
    assert message in site.out + site.err


def test_an_address_that_is_not_metabase(site: Site, run: Command) -> None:
    assert run("plan", METABASE_URL=f"{site.standin.url}/elsewhere") == 78
    assert "Is METABASE_URL right" in site.err


def test_metabase_that_never_becomes_healthy_is_given_up(site: Site, run: Command) -> None:
    site.standin.starting = 10_000
    assert run("apply", METABASE_TIMEOUT_SECONDS="0.05") == 69
    assert "503" in site.err


# --- The connection to the warehouse -------------------------------------------------------------


def test_metabase_that_does_not_reach_the_warehouse_says_so(site: Site, run: Command) -> None:
    site.standin.reader_password = "changed"
    assert run("apply") == 78
    assert "Metabase cannot connect to metabase_ro@" in site.err
    assert "names the host as Metabase sees it" in site.err


def test_a_changed_password_is_noticed_though_metabase_shows_none(
    applied: Site, run: Command
) -> None:
    site = applied
    (database,) = site.standin.databases.values()
    assert database["details"]["password"] == READER_PASSWORD
    assert database["details"]["schema-filters-patterns"] == "marts,ops"
    site.standin.reader_password = database["details"]["password"] = "rotated elsewhere"
    assert run("check") == 0
    site.standin.reader_password = READER_PASSWORD
    assert run("check") == 1
    assert "password: the one that Metabase has is not accepted" in site.out
    assert run("apply") == 0
    assert database["details"]["password"] == READER_PASSWORD
    assert run("check") == 0


def test_another_host_is_a_change_of_the_connection_only(applied: Site, run: Command) -> None:
    site = applied
    (database,) = site.standin.databases.values()
    database["details"]["host"] = "elsewhere"
    assert run("apply") == 0
    (number,) = site.standin.databases
    assert site.standin.writes == [f"PUT database/{number}"]
    assert "host: 'elsewhere' -> '127.0.0.1'" in site.out


def test_columns_that_metabase_never_finds_are_named(site: Site, run: Command) -> None:
    site.standin.columns = [c for c in site.standin.columns if c[2] != "cf_tier"]
    assert run("apply", METABASE_TIMEOUT_SECONDS="0.2") == 69
    assert "does not find 1 columns that the warehouse has: marts.deal_wide.cf_tier" in site.err


def test_new_columns_are_looked_for_before_anything_needs_them(applied: Site, run: Command) -> None:
    site = applied
    for table in site.standin.tables.values():
        if table["name"] == "deal_wide":
            table["fields"] = table["fields"][:-1]
    assert run("plan") == 2 and run("check") == 1
    assert "1 columns that Metabase does not know yet\n      in marts.deal_wide\n" in site.out
    assert run("apply") == 0, site.err
    assert run("check") == 0


def test_a_warehouse_without_marts_asks_for_a_sync(
    site: Site, run: Command, warehouse: str
) -> None:
    bare = warehouse.rpartition("/")[0] + "/postgres"
    assert run("plan", PIPEBOARD_DATABASE_URL=bare) == 78
    assert "the warehouse has no marts. Run `make sync` first" in site.err
    # Before the first sync, what matters is who owns Metabase.
    assert run("apply", "--early", PIPEBOARD_DATABASE_URL=bare) == 0, site.err
    assert "cards follow with an apply after the first sync" in site.out
    assert EMAIL in site.standin.users and len(site.standin.databases) == 1
    assert site.standin.cards == {}
    assert run("apply", "--early") == 0 and len(site.standin.cards) == 3


@pytest.mark.parametrize("password", ["pa55%zzw0rd", "pa55@w0rd", "pa55/w0rd"])
def test_a_password_that_is_not_encoded_is_not_shown(
    site: Site, run: Command, password: str
) -> None:
    url = f"postgresql://ana:{password}@127.0.0.1:9/crm"
    assert run("plan", PIPEBOARD_DATABASE_URL=url) in (69, 78)
    assert "percent-encoded" in site.err or "does not answer" in site.err
    assert not [piece for piece in ("pa55", "w0rd") if piece in site.out + site.err]


def test_a_login_without_rights_on_the_marts_is_named(
    site: Site, run: Command, warehouse: str
) -> None:
    with psycopg.connect(warehouse) as owner:
        owner.execute("revoke select on marts.dim_custom_field from bi_read")
    try:
        assert run("plan") == 77
        assert "is in role bi_read" in site.err
    finally:
        with psycopg.connect(warehouse) as owner:
            owner.execute("grant select on marts.dim_custom_field to bi_read")


def test_the_reader_of_the_readme_reads_and_does_nothing_else(site: Site) -> None:
    with psycopg.connect(site.environ["METABASE_DATABASE_URL"], autocommit=True) as reader:
        assert reader.execute("select count(*) from marts.dim_custom_field").fetchone() == (4,)
        for forbidden in (
            "select * from pipedrive.deals",
            "create table marts.mine (x int)",
            "delete from marts.dim_custom_field",
        ):
            with pytest.raises(
                (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
            ):
                reader.execute(forbidden.encode())
        assert reader.execute("show statement_timeout").fetchone() == ("1min",)


# --- Small commands ------------------------------------------------------------------------------


def test_database_urls() -> None:
    parsed = Warehouse.parse("X", "postgresql://u%40x:p%2Fw@h:6/d%20b?sslmode=require")
    assert (parsed.user, parsed.password, parsed.host) == ("u@x", "p/w", "h")
    assert (parsed.port, parsed.database, parsed.sslmode) == (6, "d b", "require")
    assert parsed.place == "u@x@h:6/d b" and "p/w" not in repr(parsed)
    for bad in ("", "http://u@h/d", "postgresql://h/d", "postgresql://u@h", "postgresql://u@h:x/d"):
        with pytest.raises(PipeboardError):
            Warehouse.parse("X", bad)


def test_paid_editions_and_unknown_routes_are_refused_as_metabase_refuses_them(site: Site) -> None:
    site.standin.add_user(EMAIL, PASSWORD)
    client = Client(site.standin.url)
    session = client.post("session", {"username": EMAIL, "password": PASSWORD})["id"]
    with pytest.raises(Refused) as unknown:
        client.get("setting")
    assert unknown.value.code is ExitCode.NOT_PERMITTED
    client.identify(session=session)
    with pytest.raises(Refused) as enterprise:
        client.post("ee/serialization/export")
    assert enterprise.value.status == 404
    with pytest.raises(Refused) as paid:
        client.post("collection", {"name": "Official", "authority_level": "official"})
    assert paid.value.status == 402 and "paid edition" in paid.value.remedy
    with pytest.raises(Refused):
        client.post(
            "setup",
            {
                "token": "x",
                "user": {"email": "e", "password": "secret"},
                "prefs": {"site_name": "n"},
            },
        )
    # And it notices what the document does not know.
    for call in (
        lambda: client.get("card", f="everything"),
        lambda: client.get("card", limit=3),
        lambda: client.put("card/1", {"colour": "red"}),
        lambda: client.put("card/1", {"archived": "yes"}),
        lambda: client.post("dashboard", {"name": ""}),
        lambda: client.delete("card/1"),
        lambda: client.get("nonsense"),
    ):
        with pytest.raises(Refused):
            call()
    assert len(site.standin.violations) == 7
    assert site.standin.keys == {} and ADMINISTRATORS == 2
    site.standin.violations.clear()


def test_a_wrong_command_line_exits_with_64_and_help_with_0(site: Site, run: Command) -> None:
    assert run("nonsense") == 64
    assert "invalid choice: 'nonsense'" in site.err
    assert run("--help") == 0
    assert "usage: pipeboard-metabase" in site.out


def test_an_interrupted_apply_says_so_and_goes_on_with_the_next(site: Site, run: Command) -> None:
    site.standin.faults.append(("POST card", lambda: os.kill(os.getpid(), signal.SIGINT)))
    # A shell starts what runs in its background without Python's own handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run("apply") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted; run again, it goes on" in site.err
    assert run("apply") == 0, site.err
    assert run("check") == 0 and len(site.standin.cards) == 3


def test_a_stored_key_that_no_longer_works_is_replaced(site: Site, run: Command) -> None:
    assert run("apply") == 0
    site.key_file.write_text("mb_of-another-metabase")
    assert run("api-key") == 0, site.err
    assert "does not work any longer" in site.out
    (key,) = site.standin.keys.values()
    assert key_of(site) == key["key"]


def test_a_key_file_that_cannot_be_read_is_named(site: Site, run: Command) -> None:
    site.standin.add_user(EMAIL, PASSWORD)
    site.key_file.mkdir(parents=True)
    assert run("plan") == 77
    assert f"{site.key_file} cannot be read: Is a directory" in site.err


@pytest.mark.parametrize("path", ["POST session", "GET user/current"])
def test_a_login_that_fails_on_the_server_is_its_fault(site: Site, run: Command, path: str) -> None:
    site.standin.add_user(EMAIL, PASSWORD)
    site.standin.faults.append((path, 500))
    assert run("check") == 69
    assert f"Metabase refuses {path.replace(' ', ' /api/')} (500): out of order" in site.err


def test_a_metabase_without_a_group_of_administrators_is_refused(site: Site, run: Command) -> None:
    del site.standin.groups[ADMINISTRATORS]
    assert run("apply") == 65
    assert "names no group of administrators" in site.err


def test_the_connection_is_encrypted_when_the_address_requires_it(site: Site, run: Command) -> None:
    reader = site.environ["METABASE_DATABASE_URL"]
    given = {"METABASE_DATABASE_URL": f"{reader}?sslmode=require", "PIPEBOARD_DATABASE_URL": reader}
    assert run("apply", **given) == 0, site.err
    (database,) = site.standin.databases.values()
    assert (database["details"]["ssl"], database["details"]["ssl-mode"]) == (True, "require")
    assert run("apply") == 0, site.err
    assert database["details"]["ssl"] is False


def test_half_built_marts_ask_for_a_sync(
    site: Site, run: Command, server: Server, warehouse: str
) -> None:
    url = server.postgres.start(server.binaries, "half")["half"]
    with psycopg.connect(url) as owner:
        owner.execute("create schema if not exists marts")
        owner.execute("create table if not exists marts.fct_deal (deal_id int)")
    assert run("plan", PIPEBOARD_DATABASE_URL=url) == 78
    assert "the warehouse has no marts. Run `make sync` first" in site.err


# --- dbt's manifest ------------------------------------------------------------------------------


def manifest_at(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def test_the_manifest_of_the_newest_build_is_taken(tmp_path: Path) -> None:
    root, local = tmp_path / "checkout", tmp_path / "state"
    assert find_manifest({}, root, local) is None
    image = manifest_at(root / ".pipeboard" / "dbt" / "manifest.json", 300)
    assert find_manifest({}, root, local) == image
    older = manifest_at(local / "dbt" / "demo" / "target" / "manifest.json", 200)
    newer = manifest_at(local / "dbt" / "own" / "target" / "manifest.json", 100)
    assert find_manifest({}, root, local) == newer != older
    own = manifest_at(tmp_path / "elsewhere" / "manifest.json", 0)
    assert find_manifest({"DBT_TARGET_PATH": str(own.parent)}, root, local) == own
    named = {"METABASE_DBT_MANIFEST": str(image)}
    assert find_manifest(named, root, local) == image


def test_without_a_manifest_nothing_is_described(site: Site, run: Command, tmp_path: Path) -> None:
    empty = tmp_path / "checkout"
    assert run("apply", METABASE_DBT_MANIFEST="", MELTANO_PROJECT_ROOT=str(empty)) == 0, site.err
    assert "no manifest of dbt: models are not described" in site.out
    assert not any(table.get("description") for table in site.standin.tables.values())


def test_a_manifest_of_other_models_describes_nothing(site: Site, run: Command) -> None:
    file = Path(site.environ["METABASE_DBT_MANIFEST"])
    other = json.loads(file.read_text())
    for node in other["nodes"].values():
        node["schema"] = "elsewhere"
    file.write_text(json.dumps(other))
    assert run("apply") == 0, site.err
    assert not any(table.get("description") for table in site.standin.tables.values())


def test_a_manifest_of_another_state_asks_for_a_sync(site: Site, run: Command) -> None:
    file = Path(site.environ["METABASE_DBT_MANIFEST"])
    other = json.loads(file.read_text())
    columns = other["nodes"]["model.pipeboard.fct_deal"]["columns"]
    columns["not_built_yet"] = {"name": "not_built_yet", "description": "New."}
    file.write_text(json.dumps(other))
    assert run("apply") == 65
    assert "dbt's manifest does not fit the warehouse" in site.err
    assert "make sync" in site.err
