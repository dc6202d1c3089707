from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from pipeboard.cli import main
from pipeboard.environments import SETTINGS
from pipeboard.redaction import Redactor, redacted_output


def test_secrets_vanish_by_name_and_inside_urls_in_every_spelling() -> None:
    redact = Redactor.of(
        {
            "PIPEDRIVE_API_TOKEN": "0123456789abcdef",
            "PIPEBOARD_DATABASE_URL": "postgresql://ana:s%40crt%2F1@db/crm",
            "METABASE_API_KEY": "mb_key",
            "HOME": "/home/ana",
        }
    )
    text = "0123456789abcdef s%40crt%2F1 s@crt/1 mb_key /home/ana"
    assert redact(text) == "*** *** *** *** /home/ana"


def test_a_password_that_is_part_of_a_longer_word_stays() -> None:
    redact = Redactor.of({"X": "postgresql://postgres:postgres@db/crm"})
    assert redact("postgresql://postgres:postgres@db") == "postgresql://***:***@db"


def test_a_secret_in_a_json_log_vanishes() -> None:
    secret = 'quo"te\\back-sénha'
    redact = Redactor.of({"METABASE_ADMIN_PASSWORD": secret})
    for ascii_only in (True, False):
        assert redact(json.dumps({"event": secret}, ensure_ascii=ascii_only)) == '{"event": "***"}'


def test_what_is_too_short_to_be_a_secret_does_not_tear_lines_apart() -> None:
    assert Redactor.of({"PIPEDRIVE_API_TOKEN": "a"})("banana") == "banana"
    assert Redactor.of({})("banana") == "banana"


#: What people paste without percent-encoding it, and what a parser then makes of it.
ODD = ("pa55/w0rd-of", "pa55#w0rd-of", "pa55?w0rd-of", "pa55%zzw0rd", "pa55@w0rd-of", "[pa55w0rd")
PIECES = ("pa55", "w0rd")


@pytest.mark.parametrize("password", ODD)
@pytest.mark.parametrize("scheme", ["postgresql", "redis"])
def test_no_message_of_a_library_shows_a_password(scheme: str, password: str) -> None:
    url = f"{scheme}://ana:{password}@127.0.0.1:9/crm"
    redact = Redactor.of({"SOME_URL": url})
    for connect in (
        lambda: psycopg.connect(url, connect_timeout=2),
        lambda: redis.Redis.from_url(url).ping(),
    ):
        try:
            connect()
        except Exception as error:
            captured = redact(f"{error} {error!r}")
        assert not [piece for piece in PIECES if piece in captured], captured
    assert redact(f"cannot reach {url}").count("w0rd") == 0


def test_an_address_whose_password_is_not_encoded_is_redacted_in_pieces() -> None:
    redact = Redactor.of({"PUSHGATEWAY_URL": "http://ana:pa55/w0rd@127.0.0.1:9"})
    assert redact("nonnumeric port: 'pa55'") == "nonnumeric port: '***'"
    # No password: nothing to hide.
    assert Redactor.of({"X": "http://registry:8080/@scope/pkg"})("at 8080") == "at 8080"


def test_parameters_of_a_url_are_secrets_too() -> None:
    url = "jdbc:postgresql://db/crm?user=ana&password=of-the-database&ssl=true"
    assert Redactor.of({"X": url})(url).endswith("user=ana&password=***&ssl=true")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_API_AUTH_STRING", "pipeboard:of-prefect"),
        ("AWS_SECRET_ACCESS_KEY", "of-a-cloud"),
        ("GITHUB_PAT", "of-github"),
        ("MB_ENCRYPTION_SECRET_KEY", "of-metabase"),
        ("PUSHGATEWAY_URL", "https://ana:of-the-gateway@host"),
    ],
)
def test_a_secret_of_another_kind_is_one(name: str, value: str) -> None:
    assert "of-" not in Redactor.of({name: value})(value)


def test_output_shows_no_secret_and_is_as_before_afterwards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    original = sys.stdout
    with redacted_output(Redactor(["secret-of-all"])):
        print("it is secret-of-all")
        sys.stderr.writelines(["secret-of-all", "!"])
    assert sys.stdout is original
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("it is ***\n", "***!")


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["run", "sync"], {"PIPEBOARD_DATABASE_URL": "postgresql://ana:pa55%zzw0rd@127.0.0.1:9/c"}),
        (["run", "sync"], {"PIPEBOARD_DATABASE_URL": "postgresql://ana:pa55/w0rd@127.0.0.1:9/c"}),
        (["run", "sync"], {"PIPEBOARD_DATABASE_URL": "postgresql://ana:pa55w0rd@127.0.0.1:9/c"}),
        (["doctor"], {"REDIS_URL": "redis://:pa55/w0rd@127.0.0.1:9/0"}),
        (["doctor"], {"REDIS_URL": "redis://:pa55w0rd@127.0.0.1:9/0"}),
        (["doctor"], {"PUSHGATEWAY_URL": "http://ana:pa55w0rd@127.0.0.1:9"}),
        (["doctor"], {"PUSHGATEWAY_URL": "http://ana:pa55/w0rd@127.0.0.1:9"}),
        (["run", "sync"], {"PIPEDRIVE_API_URL": "http://ana:pa55w0rd@127.0.0.1:9"}),
        (["roles"], {"PIPEBOARD_ADMIN_DATABASE_URL": "postgresql://ana:pa55w0rd@127.0.0.1:9/c"}),
    ],
)
def test_a_command_that_fails_shows_no_password(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    given: dict[str, str],
) -> None:
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIPEBOARD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PIPEDRIVE_API_TOKEN", "t0ken-of-the-account")
    monkeypatch.setenv("PIPEDRIVE_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PIPEBOARD_DATABASE_URL", "postgresql://ana:other@127.0.0.1:9/c")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    mask = os.umask(0o077)
    try:
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
    finally:
        os.umask(mask)
    captured = capsys.readouterr()
    output = captured.out + captured.err
    assert exit_info.value.code not in (0, 1), output
    assert not [piece for piece in (*PIECES, "t0ken") if piece in output], output
    assert "Traceback" not in output


def test_a_traceback_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        message = "cannot parse pa55w0rd"
        raise RuntimeError(message)

    monkeypatch.setenv("METABASE_ADMIN_PASSWORD", "pa55w0rd")
    monkeypatch.setattr("pipeboard.cli.settings", lambda _: dict(os.environ))
    monkeypatch.setattr("pipeboard.cli.check_settings", broken)
    mask = os.umask(0o077)
    try:
        with pytest.raises(SystemExit) as exit_info:
            main(["run", "sync"])
    finally:
        os.umask(mask)
    captured = capsys.readouterr().err
    assert exit_info.value.code == 1
    assert "RuntimeError: cannot parse ***" in captured
    assert "pa55w0rd" not in captured
