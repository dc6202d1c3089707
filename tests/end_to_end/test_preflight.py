"""Common mistakes in settings: one line, before any work."""

from __future__ import annotations

import pytest
from conftest import Checkout

GOOD = {"PIPEDRIVE_API_TOKEN": "wrong-token", "PIPEDRIVE_API_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({}, 78, "PIPEDRIVE_API_TOKEN is not set"),
        ({"PIPEDRIVE_API_TOKEN": "wrong-token"}, 78, "PIPEDRIVE_COMPANY_DOMAIN is not set"),
        (GOOD, 69, "cannot be reached"),
        ({**GOOD, "PIPEBOARD_DATABASE_URL": "mysql://a:b@c/d"}, 78, "not a PostgreSQL URL"),
        ({**GOOD, "PIPEDRIVE_API_URL": "{url}"}, 77, "does not accept the API token"),
        (
            {
                "PIPEDRIVE_API_TOKEN": "{token}",
                "PIPEDRIVE_API_URL": "{url}",
                "PIPEBOARD_DATABASE_URL": "postgresql://a:b@127.0.0.1:9/c",
            },
            69,
            "the database a@127.0.0.1:9/c cannot be reached",
        ),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    checkout: Checkout,
    own_environ: dict[str, str],
    given: dict[str, str],
    code: int,
    message: str,
) -> None:
    url, token = own_environ["PIPEDRIVE_API_URL"], own_environ["PIPEDRIVE_API_TOKEN"]
    filled = {k: v.replace("{url}", url).replace("{token}", token) for k, v in given.items()}
    logs = sorted((checkout.state / "logs").glob("*"))
    run = checkout.run("run", "sync", **filled)
    assert (run.code, run.err.count("\n")) == (code, 1), run.err
    assert message in run.err
    assert sorted((checkout.state / "logs").glob("*")) == logs, "work was begun"
