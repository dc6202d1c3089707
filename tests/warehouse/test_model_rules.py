"""What the models' own files promise, and no linter of dbt projects looks at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from warehouse_helpers import ROOT

#: Columns that tell of a person, by model; in every model of staging and marts that has them.
PERSONAL = re.compile(
    r"^(primary_|cc_|from_|to_)?(e?mails?|phones?|phone_number)$|^(first|last|person|owner|creator)_name$"
    r"|^(birthday|im|snippet|participants|attendees|recipients|sender|parties|cc|bcc)$"
)
NAMED = ("dim_person", "dim_user", "stg_pipedrive__persons", "stg_pipedrive__users")


def columns() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in (ROOT / "transform" / "models").rglob("*.yml"):
        for model in (yaml.safe_load(path.read_text()) or {}).get("models", []):
            for column in model.get("columns", []):
                yield model["name"], column


def test_personal_data_is_tagged() -> None:
    personal = [
        (model, column)
        for model, column in columns()
        if PERSONAL.match(column["name"]) or (model in NAMED and column["name"] == "name")
    ]
    untagged = [
        (model, column["name"])
        for model, column in personal
        if not column.get("config", {}).get("meta", {}).get("personal_data")
    ]
    assert len(personal) > 30
    assert not untagged


def test_sums_of_money_have_a_count_of_left_out_deals() -> None:
    """Deals without a rate: counted beside each sum, marked in each row about one deal."""
    columns_of: dict[str, set[str]] = {}
    for model, column in columns():
        columns_of.setdefault(model, set()).add(column["name"])
    sums = {"fct_forecast_snapshot", "fct_goal_period"}
    with_money = {
        model: names
        for model, names in columns_of.items()
        if model in sums or (model.startswith("rpt_") and any(n.endswith("_base") for n in names))
    }
    assert len(with_money) > 15
    marks = {"deals_without_rate", "fx_missing"}
    assert not {model for model, names in with_money.items() if not marks & names}


def test_a_full_refresh_empties_no_table_of_sums() -> None:
    """Views stand on them, and only the table above knows their rows: it replaces them itself."""
    texts = {path.stem: path.read_text() for path in (ROOT / "transform" / "models").rglob("*.sql")}
    with_sums = [text for text in texts.values() if "summed_into=" in text]
    sums = {name for text in with_sums for name in re.findall(r"'(int_\w+)': *\{?$", text, re.M)}
    sums |= {name for text in with_sums for name in re.findall(r"summed_into=\{'(\w+)'", text)}
    assert len(sums) >= 17
    assert not {name for name in sums if "{{ table_of_sums(" not in texts[name]}
    macro = ROOT / "transform" / "macros" / "incremental" / "sums_by_deal.sql"
    assert "full_refresh=false," in macro.read_text()
