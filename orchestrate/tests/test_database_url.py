from __future__ import annotations

import pytest

from pipeboard.database_url import DatabaseUrl
from pipeboard.errors import ExitCode, PipeboardError


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://ana:s%40crt@db:6543/crm",
        "postgres://ana:s%40crt@db:6543/crm",
        "postgresql+psycopg2://ana:s%40crt@db:6543/crm",
        "  postgresql://ana:s%40crt@db:6543/crm\n",
    ],
)
def test_every_spelling_names_the_same_database(written: str) -> None:
    url = DatabaseUrl.parse(written)
    assert url.url == "postgresql://ana:s%40crt@db:6543/crm"
    assert (url.user, url.password, url.host, url.port) == ("ana", "s@crt", "db", 6543)
    assert url.place == "ana@db:6543/crm"


@pytest.mark.parametrize(
    ("written", "meltano"),
    [
        (
            "postgresql://a:b@c/d",
            "postgresql+psycopg://a:b@c/d?options=-csearch_path%3Dmeltano",
        ),
        (
            "postgresql://a:b%2F@c/d?sslmode=require",
            "postgresql+psycopg://a:b%2F@c/d?sslmode=require&options=-csearch_path%3Dmeltano",
        ),
        (
            "postgresql://a:b@c/d?options=-cgeqo%3Doff",
            "postgresql+psycopg://a:b@c/d?options=-cgeqo%3Doff%20-csearch_path%3Dmeltano",
        ),
    ],
)
def test_meltano_gets_a_schema_of_the_same_database(written: str, meltano: str) -> None:
    assert DatabaseUrl.parse(written).for_meltano("meltano") == meltano


@pytest.mark.parametrize(
    "written",
    [
        "mysql://a:b@c/d",
        "localhost",
        "postgresql://",
        "postgresql://a:b@c",
        "postgresql://c/d",
        "postgresql://a:b@c:port/d",
    ],
)
def test_what_is_no_url_of_a_database_is_refused(written: str) -> None:
    with pytest.raises(PipeboardError) as caught:
        DatabaseUrl.parse(written)
    assert caught.value.code == ExitCode.CONFIGURATION
    assert "PIPEBOARD_DATABASE_URL" in str(caught.value)
