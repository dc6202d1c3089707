from __future__ import annotations

import json
import socket
import ssl
import threading
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from pipeboard.checks import preflight
from pipeboard.checks.preflight import check_account, check_settings
from pipeboard.checks.warehouse import BUILT, prepare_database
from pipeboard.database_url import DatabaseUrl
from pipeboard.environments import OWN, Environment
from pipeboard.errors import ExitCode, PipeboardError
from pipeboard.local.loopback import free_port

TOKEN = {"PIPEDRIVE_API_TOKEN": "token"}


@contextmanager
def api(
    status: int = 200, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An API with one response, and the requests it got."""
    requests: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}})
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "PIPEDRIVE_API_TOKEN is not set"),
        (TOKEN, "PIPEDRIVE_COMPANY_DOMAIN is not set"),
        ({**TOKEN, "PIPEDRIVE_API_URL": "acme"}, "PIPEDRIVE_API_URL is no URL"),
        ({**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "acme corp"}, "names no company"),
        ({**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "acme.example.com"}, "names no company"),
        ({**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "https://[acme"}, "names no company"),
        (
            {**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "https://api.pipedrive.com/v1"},
            "names no company",
        ),
    ],
)
def test_settings_are_checked_before_any_request(given: dict[str, str], text: str) -> None:
    with pytest.raises(PipeboardError, match=text) as caught:
        check_settings(given)
    assert caught.value.code == ExitCode.CONFIGURATION
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("PIPEDRIVE_DAILY_TOKENS", ["1", "60000"], ["0", "-5", "1.5", "abc", "1e6"]),
        ("PIPEDRIVE_DEFINITIONS_INTERVAL", ["0", "10800"], ["-5", "1.5", "3h"]),
        ("PIPEDRIVE_START_DATE", ["2024-01-31", "2024-01-31T00:00:00Z"], ["2024-13-01", "1/2/24"]),
        ("PIPEBOARD_BASE_CURRENCY", ["BRL"], ["reais", "brl", "R$"]),
        ("PIPEBOARD_REPORTING_TIMEZONE", ["UTC", "america/sao_paulo"], ["Mars/X", "../etc/passwd"]),
        ("TARGET_POSTGRES_BATCH_SIZE_ROWS", ["500"], ["abc", "0", "-1"]),
    ],
)
def test_a_value_that_a_later_part_would_refuse_is_named_first(
    name: str, good: list[str], bad: list[str]
) -> None:
    given = {**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "acme"}
    for value in ("", *good):
        check_settings({**given, name: value})
    for value in bad:
        with pytest.raises(PipeboardError, match=f"{name} is") as caught:
            check_settings({**given, name: value})
        assert caught.value.code == ExitCode.CONFIGURATION


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "acme"}, "https://acme.pipedrive.com"),
        ({**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "Acme.Pipedrive.com"}, "https://acme.pipedrive.com"),
        (
            {**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "HTTPS://ACME.PIPEDRIVE.COM/deals"},
            "https://acme.pipedrive.com",
        ),
        (
            {**TOKEN, "PIPEDRIVE_COMPANY_DOMAIN": "acme", "PIPEDRIVE_API_URL": "http://x:1/"},
            "http://x:1",
        ),
        (
            {
                "TAP_PIPEDRIVE_OAUTH_CLIENT_ID": "a",
                "TAP_PIPEDRIVE_OAUTH_CLIENT_SECRET": "b",
                "TAP_PIPEDRIVE_OAUTH_REFRESH_TOKEN": "c",
                "PIPEDRIVE_COMPANY_DOMAIN": "acme",
            },
            "https://acme.pipedrive.com",
        ),
    ],
)
def test_the_base_url_is_the_accounts(given: dict[str, str], base: str) -> None:
    assert check_settings(given) == base


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (401, b"{}", ExitCode.NOT_PERMITTED, "does not accept the API token"),
        (402, b"{}", ExitCode.NOT_PERMITTED, "refuses this user or plan"),
        (403, b"<html>", ExitCode.NOT_PERMITTED, "refuses this user or plan"),
        (404, b"{}", ExitCode.CONFIGURATION, "no such account"),
        (429, b"{}", ExitCode.UNAVAILABLE, "limits our rate"),
        (503, b"<html>", ExitCode.UNAVAILABLE, "returned a server error"),
        (200, b"<html>a login page</html>", ExitCode.CONFIGURATION, "not as the Pipedrive API"),
        (200, b'{"data": null}', ExitCode.CONFIGURATION, "not as the Pipedrive API"),
    ],
)
def test_a_response_of_another_server_is_one_line(
    status: int, body: bytes, code: ExitCode, text: str
) -> None:
    with api(status, body) as (base, _), pytest.raises(PipeboardError, match=text) as caught:
        check_account(TOKEN, base)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "text"),
    [
        (f"http://127.0.0.1:{free_port()}", "cannot be reached"),
        ("http://no-such-host.invalid", "is not known"),
    ],
)
def test_a_host_that_cannot_be_reached_is_worth_another_try(base: str, text: str) -> None:
    with pytest.raises(PipeboardError, match=text) as caught:
        check_account(TOKEN, base)
    assert caught.value.code == ExitCode.UNAVAILABLE


def test_the_account_is_requested_once_with_the_token_in_a_header() -> None:
    me = {"data": {"name": "Ana", "company_name": "Acme"}}
    with api(200, json.dumps(me).encode()) as (base, requests):
        account = check_account(TOKEN, base)
    assert account is not None
    assert (account.company, account.user) == ("Acme", "Ana")
    assert [(a["path"], a["x-api-token"]) for a in requests] == [("/v1/users/me", "token")]


def test_spent_tokens_are_no_failure() -> None:
    left = {"x-daily-ratelimit-token-remaining": "0"}
    with (
        api(429, headers=left) as (base, _),
        pytest.raises(PipeboardError, match="the API tokens of today are spent") as caught,
    ):
        check_account(TOKEN, base)
    assert caught.value.code == ExitCode.BUDGET


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(PipeboardError, match="did not answer in time") as caught:
            check_account(TOKEN, base, timeout=0.3)
    assert caught.value.code == ExitCode.UNAVAILABLE


def test_a_certificate_of_a_proxy_names_the_remedy() -> None:
    error = urllib.error.URLError(ssl.SSLCertVerificationError("self-signed certificate"))
    found = preflight._unreachable(error, "https://acme.pipedrive.com")
    assert "the certificate of acme.pipedrive.com is not trusted" in found.what
    assert "SSL_CERT_FILE" in found.remedy


def test_with_oauth_the_account_is_not_requested() -> None:
    with api() as (base, requests):
        assert check_account({}, base) is None
    assert requests == []


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"is_admin": 1}, True),
        ({"is_admin": False}, False),
        ({"access": [{"app": "sales", "admin": True}]}, True),
        ({"access": [{"app": "projects", "admin": True}]}, False),
        ({}, None),
    ],
)
def test_an_administrator_is_known_by_old_and_new_responses(
    user: dict[str, object], expected: bool | None
) -> None:
    with api(200, json.dumps({"data": user}).encode()) as (base, _):
        account = check_account(TOKEN, base)
    assert account is not None
    assert account.is_admin is expected


def environment_of(database: DatabaseUrl, transformer: DatabaseUrl | None = None) -> Environment:
    environ = {"PIPEBOARD_TRANSFORM_DATABASE_URL": transformer.url} if transformer else {}
    return Environment(OWN, "dev", database, embedded=False, variables=environ)


def as_role(database: DatabaseUrl, role: str) -> DatabaseUrl:
    return DatabaseUrl(database.url.replace("//pipeboard:", f"//{role}:"))


def without_rights(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    superuser.execute("drop role if exists reader")
    superuser.execute(f"create role reader login password '{database.password}'")
    return as_role(database, "reader")


def read_only(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    return DatabaseUrl(f"{database.url}?options=-cdefault_transaction_read_only%3Don")


def wrong_password(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    return DatabaseUrl(database.url.replace(database.password, "wrong"))


def no_such_database(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    return DatabaseUrl(database.url.replace("/test", "/absent"))


def nobody_listens(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    return DatabaseUrl(database.url.replace(f":{database.port}/", f":{free_port()}/"))


def locked_schema(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    superuser.execute("create schema pipedrive")
    return database


def another_encoding(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    superuser.execute("drop database if exists latin")
    superuser.execute(
        "create database latin owner pipeboard template template0 encoding 'LATIN1' locale 'C'"
        + (" locale_provider libc" if superuser.info.server_version >= 150000 else "")
    )
    return DatabaseUrl(database.url.replace("/test", "/latin"))


def no_temporary_tables(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    superuser.execute("revoke temporary on database test from public")
    superuser.execute("alter database test owner to postgres")
    superuser.execute("grant create on database test to pipeboard")
    return database


def no_right_to_connect(database: DatabaseUrl, superuser: psycopg.Connection) -> DatabaseUrl:
    superuser.execute("alter database test owner to postgres")
    superuser.execute("revoke connect on database test from public")
    return database


@pytest.mark.parametrize(
    ("spoil", "code", "text"),
    [
        (another_encoding, ExitCode.CONFIGURATION, "is encoded in LATIN1, not in UTF8"),
        (no_temporary_tables, ExitCode.NOT_PERMITTED, "grant temporary on database .test. to"),
        (no_right_to_connect, ExitCode.NOT_PERMITTED, "the right to connect from here"),
        (without_rights, ExitCode.NOT_PERMITTED, "grant create on database"),
        (read_only, ExitCode.NOT_PERMITTED, "read-only"),
        (wrong_password, ExitCode.NOT_PERMITTED, "refuses the password"),
        (no_such_database, ExitCode.CONFIGURATION, "createdb absent"),
        (nobody_listens, ExitCode.UNAVAILABLE, "cannot be reached"),
        (locked_schema, ExitCode.NOT_PERMITTED, "may not create or write pipedrive in"),
    ],
)
def test_a_database_that_will_not_do_is_one_line(
    database: DatabaseUrl,
    superuser: psycopg.Connection,
    spoil: Callable[[DatabaseUrl, psycopg.Connection], DatabaseUrl],
    code: ExitCode,
    text: str,
) -> None:
    with pytest.raises(PipeboardError, match=text) as caught:
        prepare_database(environment_of(spoil(database, superuser)))
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert database.password not in str(caught.value)


def test_an_embedded_server_that_does_not_answer_names_stop(
    database: DatabaseUrl, superuser: psycopg.Connection
) -> None:
    url = nobody_listens(database, superuser)
    with pytest.raises(PipeboardError, match="the embedded PostgreSQL does not answer") as caught:
        prepare_database(Environment(OWN, "dev", url, embedded=True, variables={}))
    assert "make stop" in caught.value.remedy


def test_two_roles_need_their_own_schemas_only(
    database: DatabaseUrl, superuser: psycopg.Connection
) -> None:
    superuser.execute("drop role if exists builder")
    superuser.execute(f"create role builder login password '{database.password}'")
    try:
        for schema in BUILT:
            superuser.execute(f"create schema {schema} authorization builder".encode())
        superuser.execute("alter schema ops owner to pipeboard")
        superuser.execute("grant all on schema ops to builder")
        with pytest.raises(PipeboardError, match="PIPEBOARD_TRANSFORM_DATABASE_URL"):
            prepare_database(environment_of(database))
        builder = as_role(database, "builder")
        prepare_database(environment_of(database, builder))
        superuser.execute("revoke create on schema ops from builder")
        with pytest.raises(PipeboardError, match="the role builder may not create or write ops"):
            prepare_database(environment_of(database, builder))
        elsewhere = DatabaseUrl(builder.url.replace("/test", "/other"))
        with pytest.raises(PipeboardError, match="Name the same database in both"):
            prepare_database(environment_of(database, elsewhere))
        wrong = wrong_password(builder, superuser)
        with pytest.raises(PipeboardError, match="password in PIPEBOARD_TRANSFORM_DATABASE_URL"):
            prepare_database(environment_of(database, wrong))
    finally:
        superuser.execute("drop owned by builder cascade")
        superuser.execute("drop role builder")


def test_an_old_server_is_refused(database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeboard.checks.warehouse.OLDEST_SERVER", 990000)
    with pytest.raises(PipeboardError, match="15 or newer is needed") as caught:
        prepare_database(environment_of(database))
    assert caught.value.code == ExitCode.CONFIGURATION


def test_a_good_database_gets_the_schema_of_the_state(database: DatabaseUrl) -> None:
    assert prepare_database(environment_of(database)).startswith(("15", "16", "17", "18"))
    prepare_database(environment_of(database))
    with psycopg.connect(database.url) as connection:
        row = connection.execute("select to_regnamespace('meltano') is not null").fetchone()
    assert row == (True,)
