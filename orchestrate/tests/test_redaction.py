from __future__ import annotations

from pipeboard.redaction import Redactor


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


def test_what_is_too_short_to_be_a_secret_does_not_tear_lines_apart() -> None:
    assert Redactor.of({"PIPEDRIVE_API_TOKEN": "a"})("banana") == "banana"
    assert Redactor.of({})("banana") == "banana"
